"""The direction of imports, and names that say something."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tests.architecture.test_code import modules

ROOT = Path(__file__).parents[2]
ROUTE_FACTORY = "api.http.resource_routes"
"""Makes routes from a declaration; it has none itself."""

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


@pytest.mark.filterwarnings("default")  # of the linter's own libraries
def test_imports_point_inward() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == 0


def test_modules_have_specific_names() -> None:
    assert not [path for path, _ in modules() if Path(path).stem in VAGUE_NAMES]


def test_routes_never_import_routes() -> None:
    importing = {
        path
        for path, source in modules()
        if path.startswith("api/") and path.endswith("routes.py")
        for node in ast.walk(ast.parse(source))
        for name in imported_names(node)
        if name.endswith("routes") and name != ROUTE_FACTORY
    }

    assert importing == set()


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        # Every command pays for them, and `perdure up` keeps them in memory.
        ("cli.main", {"asyncio", "cli.commands", "httpx2", "pydantic", "rich", "yaml"}),
        # Commands that call the gateway start with 0.25 s of processor time or less.
        ("cli.commands.executions", {"asyncio", "httpx2", "pydantic", "rich", "yaml"}),
        (
            "cli.executions.view, cli.executions.bulk",
            {"pydantic", "services", "sqlalchemy", "yaml"},
        ),
        # They are loaded when a report is rendered.
        ("api.main", {"jinja2", "markdown_it", "reports.document", "typst"}),
    ],
)
def test_a_process_loads_libraries_when_it_needs_them(module: str, unwanted: set[str]) -> None:
    program = f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )

    assert unwanted.isdisjoint(json.loads(loaded.stdout))


def imported_names(node: ast.AST) -> list[str]:
    """The modules that an import statement may load, and the names that it imports from them."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return []
