"""The priority of commands: below the database, gateway and worker.

Niceness counts for each process, so a command with many processes still takes most of the time of
the processors. If the commands of a user have taken much of it lately, they run only when nothing
else wants to (SCHED_IDLE, which also makes them last at the disk). On a machine that is busy with
other work, commands get less time than users earn, so they keep their usual priority there.

When the time is paid back, commands in progress get their usual priority again if the kernel allows
it: to leave SCHED_IDLE, a process needs CAP_SYS_NICE or RLIMIT_NICE (sched(7)), which the worker of
an ordinary user lacks. There, only new commands have the usual priority.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from domain.processor_time import ProcessorTime

NICENESS = 10
"""Under load, a process of a command gets a tenth of the time of other processes (sched(7))."""

_LAST_NICENESS = 19

_FREE_SECONDS = 5.0
"""Processor time that a user may owe before their commands get the lowest priority (chosen:
ordinary commands take less)."""

_EARNED_SHARE = 1 / 8
"""Of all processors: what the commands of one user take in the long run at their usual priority
(chosen)."""

_MOST_OWED_SECONDS = 60.0
"""It is paid back in four minutes on two processors (chosen)."""

_GONE = (ProcessLookupError, FileNotFoundError, PermissionError)


class ProcessorShares:
    """The processor time of the commands of each user of one worker."""

    def __init__(self) -> None:
        """At first, no user owes anything."""
        earned = (os.cpu_count() or 1) * _EARNED_SHARE
        self._time = ProcessorTime(earned, _MOST_OWED_SECONDS)

    def make_share(self, user_id: UUID) -> "CommandShare":
        """The share for a new command of a user."""
        return CommandShare(self._time, user_id)


class CommandShare:
    """The processor time of one command."""

    def __init__(self, time: ProcessorTime, user_id: UUID) -> None:
        """Its time is charged to this user."""
        self._time = time
        self._user_id = user_id
        self._charged = 0.0
        self._was_last = False

    def charge(self, seconds: float) -> None:
        """Charge the processor time that the command has taken so far."""
        if seconds > self._charged:
            self._time.charge(self._user_id, seconds - self._charged)
            self._charged = seconds

    def set_priority(self, processes: Iterable[int]) -> None:
        """Give all threads of these processes the priority that the user's commands have now."""
        is_last = self._time.compute_owed(self._user_id) > _FREE_SECONDS
        self._was_last |= is_last  # otherwise a command that chose SCHED_IDLE itself would lose it
        for process in processes:
            with suppress(*_GONE):
                for thread in Path(f"/proc/{process}/task").iterdir():
                    if self._was_last:
                        _set_policy(int(thread.name), os.SCHED_IDLE if is_last else os.SCHED_OTHER)
                    _lower(int(thread.name))
                _set_session(process, _LAST_NICENESS if is_last else NICENESS)


def _set_policy(thread: int, policy: int) -> None:
    with suppress(*_GONE):
        if os.sched_getscheduler(thread) != policy:
            os.sched_setscheduler(thread, policy, os.sched_param(0))


def _lower(thread: int) -> None:
    with suppress(*_GONE):
        niceness = max(os.getpriority(os.PRIO_PROCESS, thread), NICENESS)
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


def _set_session(process: int, niceness: int) -> None:
    """Set the priority of the whole session (sched(7), The autogroup feature).

    Where the kernel groups processes by session, niceness has no effect outside of a command's. The
    kernel refuses some changes if there are many; the next check repeats them.
    """
    with suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(str(niceness))
