"""Processes of the kernel: their identity, waiting for their end, and ending them."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from domain.tool_calls import ProcessIdentity


def started_ticks(pid: int) -> int | None:
    """The start time of a process, in clock ticks since boot; None if it has ended.

    Field 22 of /proc/PID/stat (proc(5)). A zombie counts as ended; without an init process that
    reaps it, it remains forever.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may contain blanks and brackets.
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in (b"Z", b"X") else int(fields[18])


def exit_of(pid: int) -> asyncio.Future[None]:
    """A future that is done when the process has ended; it needs no thread and no polling."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[None] = loop.create_future()
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        exited.set_result(None)
        return exited

    def ended() -> None:
        if not exited.done():
            exited.set_result(None)

    def forget(_: asyncio.Future[None]) -> None:
        loop.remove_reader(watched)
        os.close(watched)

    loop.add_reader(watched, ended)
    exited.add_done_callback(forget)
    return exited


def kill_group(group: int) -> None:
    """Kill every process of a group; does nothing if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def end_group(identity: ProcessIdentity, *, host_id: str) -> None:
    """End a group of an earlier attempt, if it is on this host and its leader is the same process.

    The leader of a sandboxed group is the first process of its pid namespace. The kernel ends all
    others with it, and it ends last.
    """
    if identity.host_id != host_id:
        return
    if started_ticks(identity.process_group) != identity.started_ticks:
        return
    exited = exit_of(identity.process_group)
    kill_group(identity.process_group)
    await exited
