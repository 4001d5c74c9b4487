"""How a process reports to its supervisor that it is ready (as `sd_notify` does for systemd)."""

import os
from pathlib import Path


def announce(ready_file: Path | None) -> None:
    """Write the process id to the file that the supervisor watches, if there is one.

    Call it once, when the process is ready to work. The health check of a container can check that
    the file exists (`PERDURE_READY_FILE`).
    """
    if ready_file is not None:
        ready_file.write_text(str(os.getpid()), encoding="ascii")


def is_announced(ready_file: Path, pid: int) -> bool:
    """Return whether process `pid` has reported that it is ready."""
    try:
        return ready_file.read_text(encoding="ascii") == str(pid)
    except FileNotFoundError:
        return False
