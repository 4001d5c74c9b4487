"""Processes of the kernel: their identity, waiting for their end, and ending them."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from domain.tools.calls import ProcessIdentity

_GONE = (FileNotFoundError, ProcessLookupError)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def read_started_ticks(pid: int) -> int | None:
    """The start time of a process, in clock ticks since boot; None if it has ended.

    Field 22 of /proc/PID/stat (proc(5)). A zombie counts as ended; without an init process that
    reaps it, it remains forever.
    """
    fields = _stat_fields(pid)
    return None if not fields or fields[0] in (b"Z", b"X") else int(fields[19])


def processor_seconds(pid: int) -> float:
    """The processor time of a process and of those that it waited for; 0 if it is gone."""
    return sum(map(int, _stat_fields(pid)[11:15])) / _TICKS_PER_SECOND


def _stat_fields(pid: int) -> Sequence[bytes]:
    """The fields of /proc/PID/stat from the third one, the state; none if there is no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except _GONE:
        return ()
    # The second field is the program's name in brackets, which may contain blanks and brackets.
    return stat.rpartition(b")")[2].split()


def memory_of(processes: Collection[int], *, enough: int) -> int:
    """Bytes of memory of these processes.

    If these are more than `enough`, memory that several processes share counts once; that takes
    longer.
    """
    resident = sum(map(_resident_bytes, processes))
    return resident if resident <= enough else sum(map(_own_bytes, processes))


def tree_of(leader: int) -> Iterator[int]:
    """A process and its descendants, each once (proc_tid_children(5)).

    Processes that have lost their parent are children of the first one of their namespace.
    """
    left = [leader]
    while left:
        pid = left.pop()
        yield pid
        with contextlib.suppress(*_GONE):
            for thread in Path(f"/proc/{pid}/task").iterdir():  # each has children of its own
                with contextlib.suppress(*_GONE):
                    children = (thread / "children").read_bytes()
                    left += map(int, children.split())


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(*_GONE):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    return 0


def _own_bytes(pid: int) -> int:
    """Memory and swap of a process, with its share of what it shares (proc_pid_smaps(5))."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except PermissionError:  # a program that can only be executed
        return _resident_bytes(pid)
    except _GONE:
        return 0
    sizes = [line.split()[1] for line in lines if line.startswith((b"Pss:", b"SwapPss:"))]
    return sum(map(int, sizes)) * 1024


def exit_of(pid: int) -> asyncio.Future[None]:
    """A future that is done when the process has ended; it needs no thread and no polling."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[None] = loop.create_future()
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        exited.set_result(None)
        return exited

    def finish() -> None:
        if not exited.done():
            exited.set_result(None)

    def forget(_: asyncio.Future[None]) -> None:
        loop.remove_reader(watched)
        os.close(watched)

    loop.add_reader(watched, finish)
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
    if read_started_ticks(identity.process_group) != identity.started_ticks:
        return
    exited = exit_of(identity.process_group)
    kill_group(identity.process_group)
    await exited
