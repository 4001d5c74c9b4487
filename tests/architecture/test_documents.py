"""The documents match the code, as far as a test can check."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.main import app
from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from domain.rules.permissions import KNOWN_TOOLS
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.engine import ENGINE_TOOLS
from runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference"
"""Written when the documents are built (scripts/docs_site.py), which checks the links to them."""

PAGES = sorted(
    page for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")] if GENERATED not in page.parents
)
DECISIONS = sorted((DOCS / "adr").glob("*.md"))

BUILT = {"__pycache__", "build", "dist", "site"}

LINK = re.compile(r"\[[^\]]+\]\((?!https?://)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]+))?\)")
CODE = re.compile(r"`(?P<code>[^`\n]+)`")
COMMAND = re.compile(r"\bperdure (?P<words>[a-z][a-z-]*(?: [a-z][a-z-]*)?)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def code_of(page: Path) -> set[str]:
    return {found["code"] for found in CODE.finditer(page.read_text("utf-8"))}


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(page.read_text("utf-8")):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        if GENERATED in target.parents:
            continue
        assert target.exists(), link[0]
        assert link["anchor"] is None or link["anchor"] in anchors(target), link[0]


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link["path"]).resolve()
        for page in PAGES
        for link in LINK.finditer(page.read_text("utf-8"))
    }
    assert [name(page) for page in DOCS.glob("*.md") if page not in linked] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_files_are_there(page: Path) -> None:
    named = [c for c in code_of(page) if re.fullmatch(r"(?!\.perdure)[\w.-]+/[\w./-]*", c)]
    assert [code for code in named if not (ROOT / code).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_named_commands_are_there(page: Path) -> None:
    group = typer.main.get_command(app)
    for command in commands_in(page.read_text("utf-8")):
        known = getattr(group, "commands", {})
        first, *rest = command.split()
        assert first in known, command
        subcommands = getattr(known[first], "commands", None)
        assert not rest or subcommands is None or rest[0] in subcommands, command


def commands_in(text: str) -> Iterator[str]:
    """Commands in code blocks and inline code; sentences also contain the name Perdure."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (found["words"] for found in COMMAND.finditer(block))
    for code in CODE.finditer(text):
        yield from (found["words"] for found in COMMAND.finditer(code["code"]))


def test_named_make_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)
        assert set(named) <= targets, name(page)


def test_every_setting_is_described_and_no_other() -> None:
    described = set(re.findall(r"`(PERDURE_[A-Z_]+)`", read("operations.md")))
    assert described == {f"PERDURE_{field.upper()}" for field in Settings.model_fields}


def test_every_metric_is_described() -> None:
    declared = re.compile(r'\b(Counter|Gauge|Histogram)\(\s*"(perdure_[a-z_]+)"')
    sources = [*(ROOT / "api").rglob("*.py"), *(ROOT / "services").rglob("*.py")]
    metrics = {
        f"{name}_total" if kind == "Counter" else name
        for path in sources
        for kind, name in declared.findall(path.read_text("utf-8"))
    }
    assert len(metrics) > 5
    assert metrics <= code_of(DOCS / "operations.md")


def test_every_error_code_and_state_is_described() -> None:
    named = code_of(DOCS / "executions.md")
    assert {str(code) for code in ErrorCode} <= named
    assert {str(status) for status in ExecutionStatus} <= named


def test_every_tool_is_described() -> None:
    assert BUILTIN_TOOLS.keys() | ENGINE_TOOLS.keys() == KNOWN_TOOLS
    rows = set(re.findall(r"^\| `(\w+)` \|", read("tools.md"), re.MULTILINE))
    assert rows >= KNOWN_TOOLS


def test_every_event_in_the_code_is_described() -> None:
    sources = [
        path.read_text("utf-8")
        for folder in ("agent", "api", "activities", "persistence", "services")
        for path in (ROOT / folder).rglob("*.py")
    ]
    found = {e for source in sources for e in re.findall(r'Event\(\s*"([a-z_.]+)"', source)}
    assert found
    assert found <= code_of_events()


def code_of_events() -> set[str]:
    return {c for c in code_of(DOCS / "executions.md") if re.fullmatch(r"[a-z]+\.[a-z_]+", c)}


@pytest.mark.parametrize("page", DECISIONS, ids=name)
def test_a_decision_ends_with_what_enforces_it(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Enforced by"]


def test_decisions_name_import_contracts_that_exist() -> None:
    quoted = re.compile(r'import contract "([^"]+)"')
    named = [found for page in DECISIONS for found in quoted.findall(page.read_text("utf-8"))]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    existing = re.findall(r'^name = "([^"]+)"$', project, re.MULTILINE)
    assert named
    assert set(named) <= set(existing)


def test_a_changed_decision_says_so() -> None:
    status = {int(page.name[:4]): page.read_text("utf-8").split("\n")[2] for page in DECISIONS}
    for number, line in status.items():
        _, _, changes = line.partition("Changes ")
        for changed in map(int, re.findall(r"\[(\d+)\]", changes)):
            _, _, changed_by = status[changed].partition("Changed by ")
            assert f"[{number}]" in changed_by, (number, changed)


def test_decisions_are_numbered() -> None:
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_nothing_names_a_machine_or_a_registry() -> None:
    place = re.compile(
        r"(?<![\w/])/(?:root|home|work)/|(?:pypi|python(?:hosted)|npmjs)[.](?:org|com)"
    )
    found = [
        f"{name(path)}: {hit[0]}"
        for path in files()
        for hit in place.finditer(path.read_text("utf-8", errors="replace"))
    ]
    assert found == []


def files() -> Iterator[Path]:
    """What is ours: no caches, no environment, nothing built."""
    for entry in filter(is_ours, ROOT.iterdir()):
        for path in entry.rglob("*") if entry.is_dir() else [entry]:
            if path.is_file() and all(map(is_ours, [path, *path.relative_to(ROOT).parents])):
                yield path


def is_ours(path: Path) -> bool:
    return path.name not in BUILT and not path.name.startswith(".")
