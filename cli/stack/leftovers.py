"""Ends what a killed supervisor left running, before the next one starts.

On Linux the kernel ends it (see `launch`); elsewhere this keeps a second server off the same files.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psutil

from cli.stack.home import Home
from cli.stack.postgres import serving_process

# Processes that the kernel signals end within milliseconds; Postgres writes a checkpoint first.
DYING_SECONDS = 3.0
# Temporal stops within 1.5 s; a worker completes its step (chosen).
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


def end_leftovers(home: Home) -> None:
    """End what still runs of this home's last stack; the caller holds the home."""
    remaining = _wait(list(_leftovers(home)), DYING_SECONDS)
    for number in (signal.SIGINT, signal.SIGKILL):  # for Postgres, SIGINT is a fast shutdown
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        remaining = _wait(remaining, STOP_SECONDS)


def _leftovers(home: Home) -> Iterator[psutil.Process]:
    server = serving_process(home.postgres_data)
    if server is not None:
        yield server
    facts = home.read_ready()
    if facts is None:
        return
    written_at = home.ready_file.stat().st_mtime
    for pid in facts["pids"].values():
        with suppress(psutil.NoSuchProcess, TypeError):  # None: not a part of that stack
            process = psutil.Process(pid)
            # A process that started after this was written has reused the id.
            if process.create_time() <= written_at:
                yield process


def _wait(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those still alive after at most `seconds`."""
    deadline = time.monotonic() + seconds
    alive = [process for process in processes if _is_alive(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        alive = [process for process in alive if _is_alive(process)]
    return alive


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
