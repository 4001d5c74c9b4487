"""Each recipe works as its page says, answered by the script beside it.

They have a stack of their own, and show nothing that other tests do not: `make test` runs the
commands of the tutorial (`test_documents.py`).
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude.scripted import ScriptedModelServer
from tests.e2e.documents import REPOSITORY, find_commands
from tests.e2e.test_documents import PAGE_SECONDS, address_to, make_script, run_commands
from tests.stack import Up

pytestmark = pytest.mark.long

RECIPES = REPOSITORY / "docs" / "recipes"


@pytest.fixture(scope="module")
def recipes_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with ScriptedModelServer(scripts=RECIPES) as model:
        more = {
            "ANTHROPIC_BASE_URL": model.base_url,
            "ANTHROPIC_API_KEY": "scripted",
            "PERDURE_NETWORK_ALLOW": "localhost:18099",
        }
        up = Up(tmp_path_factory.mktemp("recipes"), more=more)
        try:
            up.wait_ready()
            yield up
        finally:
            up.stop()


@pytest.mark.timeout(PAGE_SECONDS + 60)
@pytest.mark.parametrize("recipe", sorted(p.parent.name for p in RECIPES.glob("*/index.md")))
def test_the_recipe_works(recipe: str, recipes_stack: Up, tmp_path: Path) -> None:
    terminal = tmp_path / recipe
    shutil.copytree(RECIPES / recipe, terminal)
    (terminal / ".venv").symlink_to(REPOSITORY / ".venv")
    (terminal / ".perdure").symlink_to(recipes_stack.home.path)
    page = f"docs/recipes/{recipe}/index.md"
    run_commands(terminal, address_to(recipes_stack, make_script(page, find_commands(page))))
    # A script may not rely on a call that its tool refuses.
    calls = run_commands(terminal, ".venv/bin/perdure executions tool-calls last")
    assert "✗" not in calls, calls
