"""What processes cost: CPU seconds and memory, children included."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

Roles = Mapping[str, int]
"""Process ids by what the process does."""

PARENTS = frozenset({"client", "supervisor"})
"""Roles whose children have roles of their own. All other children count with their parent."""


SAMPLE_SECONDS = 0.002
"""Between two looks at memory: what a program holds for less is not what a machine must have."""


class CpuMeter:
    """CPU seconds by role since the meter was made."""

    def __init__(self, roles: Roles) -> None:
        """Starts counting now."""
        self._roles = roles
        self._before = self._now()

    def read(self) -> dict[str, float]:
        """Seconds used so far; no process may have been replaced since the start."""
        return {role: seconds - self._before[role] for role, seconds in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {
            role: _own_cpu_seconds(pid) if role in PARENTS else _cpu_seconds(pid)
            for role, pid in self._roles.items()
        }


def _own_cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _cpu_seconds(pid: int) -> float:
    """Of the process, its living children, and those that ended and were waited for.

    Postgres serves every connection with a child; a child's time moves to its parent when it ends.
    """
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def native_cpu_seconds(pid: int) -> float:
    """CPU seconds of the threads that have names of their own: those of Temporal's core.

    Threads of Python have the name of the process (before 3.14, which names them).
    """
    process = psutil.Process(pid)
    return sum(
        thread.user_time + thread.system_time
        for thread in process.threads()
        if _thread_name(pid, thread.id) not in {None, _thread_name(pid, pid)}
    )


def _thread_name(pid: int, thread: int) -> str | None:
    """None if the thread has ended."""
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def memory_bytes(pid: int) -> int:
    """Proportional set size of the process and its children: shared pages are counted once."""
    process = psutil.Process(pid)
    total = 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().pss
    return total


def peak_memory_bytes(pid: int, *, until: Callable[[], bool]) -> int:
    """The most that the process and its children had at one moment, looked at again and again.

    Not `ru_maxrss`: it survives exec, so a child of a large parent begins with its parent's peak,
    and the peaks of a process and of its children need not have been at once. Blocking.
    """
    peak = 0
    while not until():
        with suppress(psutil.NoSuchProcess):
            peak = max(peak, memory_bytes(pid))
        time.sleep(SAMPLE_SECONDS)
    return peak
