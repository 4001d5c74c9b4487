"""What a killed supervisor left running, ended before the next one starts.

On Linux the kernel has ended it already or is about to (see `launch`); on other systems this is
what keeps a second server off the same files.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psutil

from cli.stack.home import Home
from cli.stack.postgres import serving_process

# Killed processes end within milliseconds; Postgres writes a checkpoint first.
DYING_SECONDS = 3.0
# A stop that is asked for by name: Temporal takes 1.5 s, a worker finishes its step (chosen).
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


def end_leftovers(home: Home) -> None:
    """End what still runs of the stack that held this home before us, which must be held now."""
    remaining = _wait(list(_leftovers(home)), DYING_SECONDS)
    for number in (signal.SIGINT, signal.SIGKILL):  # Postgres takes SIGINT as "stop now, cleanly"
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
        with suppress(psutil.NoSuchProcess, TypeError):  # None: that part was none of ours
            process = psutil.Process(pid)
            # The processes were running when the ids were written, so a younger process is
            # unrelated.
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
