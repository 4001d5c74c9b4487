"""How a started process tells its supervisor that it serves (as `sd_notify` does for systemd)."""

import os
from pathlib import Path


def announce(ready_file: Path | None) -> None:
    """Write our process id to the file the supervisor watches; nothing without one.

    Call it once, when the process does its work from now on. With `PERDURE_READY_FILE` set it also
    serves a container's health check: the file is there.
    """
    if ready_file is not None:
        ready_file.write_text(str(os.getpid()), encoding="ascii")


def is_announced(ready_file: Path, pid: int) -> bool:
    """Whether process `pid` has announced itself there."""
    try:
        return ready_file.read_text(encoding="ascii") == str(pid)
    except FileNotFoundError:
        return False
