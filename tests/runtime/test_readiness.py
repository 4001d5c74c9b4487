"""How a process reports that it is ready."""

import os
from pathlib import Path

import pytest

from runtime.readiness import announce, is_announced


def test_a_ready_file_is_valid_for_its_own_process_only(tmp_path: Path) -> None:
    ready = tmp_path / "worker.ready"
    assert not is_announced(ready, os.getpid())
    announce(ready)
    assert is_announced(ready, os.getpid())
    assert not is_announced(ready, os.getpid() + 1)


def test_without_a_supervisor_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    announce(None)
    assert list(tmp_path.iterdir()) == []
