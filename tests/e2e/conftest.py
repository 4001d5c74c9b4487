"""A stack as the documents have people start one, and a directory to type in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Up
from tests.e2e.documents import REPOSITORY


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """`perdure up --scripted-model`."""
    up = Up(tmp_path_factory.mktemp("up"), "--scripted-model")
    up.wait_ready()
    yield up
    assert up.stop() == 0


@pytest.fixture
def terminal(up: Up, tmp_path: Path) -> Path:
    """A current directory in which `.venv` and `.perdure` are where the documents have them."""
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    (tmp_path / ".perdure").symlink_to(up.home.path)
    return tmp_path
