"""Processes as the kernel knows them: who they are, when they end, and ending them."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from domain.tool_calls import ProcessIdentity


def started_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it has ended.

    Field 22 of /proc/PID/stat (proc(5)). A zombie has ended: it runs nothing, and where no init
    reaps it stays for good.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may hold blanks and brackets.
    state, *fields = stat.rpartition(b")")[2].split()
    return None if state in (b"Z", b"X") else int(fields[18])


def exit_of(pid: int) -> asyncio.Future[None]:
    """Done when the process has ended, reaped or not. Costs no thread and no polling."""
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
    """SIGKILL to every process of a group; a group that has ended is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def end_group(identity: ProcessIdentity, *, host_id: str) -> None:
    """End the group of a former attempt, if it is here and its leader is still that process.

    The leader of a sandboxed group is the first process of its own pid namespace: the kernel ends
    every other one with it, and lets it end last.
    """
    if identity.host_id != host_id:
        return
    if started_ticks(identity.process_group) != identity.started_ticks:
        return
    exited = exit_of(identity.process_group)
    kill_group(identity.process_group)
    await exited
