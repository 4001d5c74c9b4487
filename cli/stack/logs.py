"""Keeps the parts' logs from filling the disk while a stack runs for months."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

# Two files of this size per part are weeks of warnings and days of a busy worker (chosen).
LIMIT_BYTES = 10 * 1024 * 1024
# Even a worker that logs a megabyte a second stays within a few hundred megabytes (chosen).
LOOK_EVERY_SECONDS = 60.0


async def keep_small(directory: Path) -> None:
    """Look at the logs now and then, until cancelled."""
    while True:
        cut_all(directory, LIMIT_BYTES)
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def cut_all(directory: Path, limit_bytes: int) -> None:
    """Cut every log of a directory that needs it."""
    for log in directory.glob("*.log"):
        cut(log, limit_bytes)


def cut(log: Path, limit_bytes: int) -> None:
    """Keep what a log over the limit holds as `.log.1`, and empty it.

    The process continues to append to the same file. Lines that are written between the copy and
    the truncation are lost.
    """
    if log.stat().st_size > limit_bytes:
        with suppress(OSError):  # the disk is full: then room matters more than old lines
            shutil.copyfile(log, log.with_suffix(".log.1"))
        with log.open("r+b") as file:
            file.truncate(0)
