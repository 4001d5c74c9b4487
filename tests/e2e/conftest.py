"""A directory in which commands of the documents are run."""

from pathlib import Path

import pytest

from tests.e2e.documents import REPOSITORY
from tests.stack import Up


@pytest.fixture
def terminal(stack: Up, tmp_path: Path) -> Path:
    """A current directory in which `.venv` and `.perdure` are where the documents have them."""
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    (tmp_path / ".perdure").symlink_to(stack.home.path)
    return tmp_path
