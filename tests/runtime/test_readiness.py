"""How a part tells that it serves."""

import os
from pathlib import Path

from runtime.readiness import announce, is_announced


def test_an_announcement_counts_for_its_own_process_only(tmp_path: Path) -> None:
    ready = tmp_path / "worker.ready"
    assert not is_announced(ready, os.getpid())
    announce(ready)
    assert is_announced(ready, os.getpid())
    assert not is_announced(ready, os.getpid() + 1)


def test_without_a_supervisor_there_is_nobody_to_tell() -> None:
    announce(None)
