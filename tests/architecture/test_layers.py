"""The direction of imports, and names that say something."""

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tests.architecture.test_code import modules

ROOT = Path(__file__).parents[2]
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


@pytest.mark.filterwarnings("default")  # of the linter's own libraries
def test_imports_point_inward() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml")) == 0


def test_modules_have_telling_names() -> None:
    assert not [path for path, _ in modules() if Path(path).stem in VAGUE_NAMES]
