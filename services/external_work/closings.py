"""Wakes the workflows of external work that has ended, which then close.

The work is terminal in the database already, so no request waits for this. To close a workflow
costs more than to claim and to complete its work, so after many ends in a short time the relay
closes the rest once they have become fewer (`persistence/executions/signals.py`).
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

MOST_PER_SECOND = 10
"""Workflows that a process wakes at once; the relay wakes others, and all of a second that follows
one with more ends (chosen: to close one takes about 40 ms of processor time of the worker and of
Temporal, seven times as much as to claim and to complete its work; measured 2026-11-29)."""


class WorkflowClosings:
    """The wake-ups of one process."""

    def __init__(
        self,
        wake: Callable[[str], Coroutine[Any, Any, bool | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wake` is `WorkflowServer.wake`; `clock` returns seconds."""
        self._wake = wake
        self._clock = clock
        self._running: set[asyncio.Task[bool | None]] = set()
        self._second = 0
        self._count = 0
        self._is_busy = False

    async def wake(self, workflow_id: str) -> None:
        """Wake a workflow in the background, or leave it to the relay."""
        second = int(self._clock())
        if second != self._second:
            self._is_busy = self._count > MOST_PER_SECOND and second == self._second + 1
            self._second, self._count = second, 0
        self._count += 1
        if self._is_busy or self._count > MOST_PER_SECOND:
            return
        task = asyncio.create_task(self._wake(workflow_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
