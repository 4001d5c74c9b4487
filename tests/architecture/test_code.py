"""What the code promises about itself: sizes, one place for the environment, no loose ends."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "domain", "definitions", "contracts", "workflows", "agent", "agent_library", "activities",
    "claude", "tools", "reports", "persistence", "services", "api", "runtime", "cli",
)  # fmt: skip
MODULE_LINES, FUNCTION_LINES = 400, 50
HANDLER_LINES = 15
"""Of a route handler, from its signature to its end: it parses, calls a service and renders."""

PARTICIPLE = re.compile(r"[a-z]+ed|made|given|found|written|kept|held|shown|taken|built|sent|gone")
LIKE_PARTICIPLES = {"feed": "a verb", "muted": "makes the node of this name in a report"}
"""Functions that may look like participles, with the reason."""

WRITES_EXECUTIONS = {
    "persistence/executions/lifecycle",
    "persistence/executions/step_log",
    "persistence/executions/admission",
    "persistence/executions/leases",
    "persistence/executions/priorities",
}
"""Start and end, each step of the loop, the admission of an attempt, the leases of workers, and
their order."""

DETERMINISTIC = {"asyncio", "collections", "contextlib", "datetime", "typing", "uuid"}
"""What workflows use of the standard library; Temporal replaces the clock of `asyncio`."""

UNPREDICTABLE = {"open", "input", "print", "id", "hash", "exec", "eval", "compile", "__import__"}
"""Built-in functions that no workflow uses."""

METHODS = {"get", "post", "put", "patch", "delete"}

LARGE_MODULES: dict[str, str] = {}
"""Modules over the limit, each with its reason."""

LARGE_FUNCTIONS: dict[str, str] = {}
"""Functions over the limit, each with its reason."""

READS_THE_ENVIRONMENT = {
    "persistence/db/migrations/env.py": "the `alembic` command has no composition root of ours",
    "cli/inbox/screen.py": "VISUAL and EDITOR name a person's editor",
    "cli/connection/endpoint.py": "`runtime.settings` would take longer than most commands run",
    "cli/command_groups/lazy.py": "the shell's completion script sets a variable of the library's",
    "cli/stack/forks.py": "a fork replaces that of its parent",
    "cli/stack/parts.py": "parts inherit it",
    "cli/stack/worker_processes.py": "workers inherit it",
    "cli/stack/postgres.py": "servers get an almost empty one",
    "cli/stack/temporal.py": "servers get an almost empty one",
    "cli/doctor.py": "says whether the SDK's own variables are set",
    "cli/commands/operate.py": "says whether the SDK's own variables are set",
    "cli/commands/mcp_servers.py": "a file of servers names variables of the user",
}


def modules() -> Iterator[tuple[str, str]]:
    """Path and source of every module that ships."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for name in ("composition.py", "worker.py"):
        yield name, (ROOT / name).read_text(encoding="utf-8")


def functions() -> Iterator[tuple[str, int]]:
    """Name and length of every function that ships."""
    for path, source in modules():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                yield f"{path}:{node.name}", node.end_lineno - node.lineno + 1


def test_modules_stay_small() -> None:
    large = {path for path, source in modules() if source.count("\n") > MODULE_LINES}

    assert large == LARGE_MODULES.keys()


def workflow_trees() -> Sequence[ast.Module]:
    """The modules of workflows. A worker runs them outside of Temporal's sandbox (worker.py)."""
    return [ast.parse(source) for path, source in modules() if path.startswith("workflows/")]


def test_workflow_modules_have_no_state() -> None:
    nodes = [node for tree in workflow_trees() for node in ast.walk(tree)]
    scopes = [node for node in nodes if isinstance(node, (ast.Module, ast.ClassDef))]
    targets = [
        target
        for scope in scopes
        for node in scope.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]

    assert all(isinstance(target, ast.Name) and target.id.isupper() for target in targets)
    assert not [node for node in nodes if isinstance(node, ast.Global)]


def test_workflow_modules_read_no_clock_and_no_chance() -> None:
    nodes = [node for tree in workflow_trees() for node in ast.walk(tree)]
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in sys.stdlib_module_names
        for alias in node.names
    }
    called = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in {"datetime", "date"}
    }
    packages = {
        (node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)
    }

    assert whole <= DETERMINISTIC - {"uuid"}
    assert {name.split(".")[0] for name in parts} <= DETERMINISTIC
    assert {name for name in parts if name.startswith("uuid.")} <= {"uuid.UUID"}
    assert called <= {"fromisoformat"}
    assert packages <= DETERMINISTIC | {"temporalio", "contracts", "domain", "workflows"}
    assert not UNPREDICTABLE & {node.id for node in nodes if isinstance(node, ast.Name)}


def test_functions_stay_small() -> None:
    large = {name for name, length in functions() if length > FUNCTION_LINES}

    assert large == LARGE_FUNCTIONS.keys()


def route_handlers() -> Iterator[tuple[str, int]]:
    """Name and length of every function that a router's decorator registers."""
    for path, source in modules():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names = {
                    call.func.attr
                    for call in node.decorator_list
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
                }
                if names & METHODS:
                    assert node.end_lineno is not None
                    yield f"{path}:{node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_named_by_verbs() -> None:
    participles = [
        f"{path}:{node.name}"
        for path, source in modules()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name not in LIKE_PARTICIPLES
        and not any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
        and PARTICIPLE.fullmatch(node.name.strip("_"))
    ]
    assert not participles


def test_a_class_name_is_used_once() -> None:
    names = Counter(
        node.name
        for _, source in modules()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in names.items() if count > 1]


def test_executions_are_written_in_five_modules() -> None:
    writes = re.compile(
        r"UPDATE executions\b|update\(ExecutionRow\)|\brow\.status = (?!\"answered\")"
    )
    found = {
        path.relative_to(ROOT).as_posix().rpartition(".")[0]
        for path in [*ROOT.glob("persistence/**/*"), *ROOT.glob("services/**/*")]
        if path.suffix in {".py", ".sql"}
        and "migrations" not in path.parts
        and writes.search(path.read_text(encoding="utf-8"))
    }
    assert found <= WRITES_EXECUTIONS


def test_route_handlers_parse_call_and_render() -> None:
    handlers = dict(route_handlers())
    large = {name for name, length in handlers.items() if length > HANDLER_LINES}

    assert len(handlers) > 50
    assert large == set()


def test_the_environment_is_read_in_named_places_only() -> None:
    pattern = re.compile(r"\bos\.(environ|getenv)\b|\benviron\b")
    readers = {path for path, source in modules() if pattern.search(source)}

    assert readers == READS_THE_ENVIRONMENT.keys()


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "NotImplementedError"])
def test_nothing_is_left_for_later(word: str) -> None:
    found = [path for path, source in modules() if re.search(rf"\b{word}\b", source)]

    assert found == []


def test_modules_say_what_they_hold() -> None:
    silent = [
        path
        for path, source in modules()
        if path != "workflows/__init__.py" and not ast.get_docstring(ast.parse(source))
    ]

    assert silent == []


def test_workflow_package_stays_empty() -> None:
    assert (ROOT / "workflows" / "__init__.py").read_text(encoding="utf-8") == ""
