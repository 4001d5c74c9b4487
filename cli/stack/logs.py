"""Keeps the parts' logs small while a stack runs for months."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

# Two files of this size per part hold weeks of warnings (chosen).
LIMIT_BYTES = 10 * 1024 * 1024
# Even a worker that logs a megabyte a second stays within a few hundred megabytes (chosen).
CHECK_EVERY_SECONDS = 60.0


async def keep_logs_small(directory: Path) -> None:
    """Cut logs that are too large from time to time, until cancelled."""
    while True:
        cut_all(directory, LIMIT_BYTES)
        await asyncio.sleep(CHECK_EVERY_SECONDS)


def cut_all(directory: Path, limit_bytes: int) -> None:
    """Cut every log of a directory that is over the limit."""
    for log in directory.glob("*.log"):
        cut(log, limit_bytes)


def cut(log: Path, limit_bytes: int) -> None:
    """Keep what a log over the limit holds as `.log.1`, and empty it.

    The part appends to the same file. Lines written between the copy and the cut are lost.
    """
    if log.stat().st_size > limit_bytes:
        with suppress(OSError):  # on a full disk, space matters more than old lines
            shutil.copyfile(log, log.with_suffix(".log.1"))
        with log.open("r+b") as file:
            file.truncate(0)
