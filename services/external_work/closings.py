"""Wakes the workflows of external work that has ended, which then close.

The work is terminal in the database already, so no request waits for this. To close a workflow
costs more than to claim and to complete its work, so after many ends in a short time the relay
closes the rest once they have become fewer (`persistence/executions/signals.py`).
"""

import asyncio
import time

from services.ports import WorkflowServer

MOST_PER_SECOND = 10
"""Workflows that a process wakes at once; the relay wakes others (chosen: to close one takes about
20 ms of processor time of the worker and of Temporal)."""


class WorkflowClosings:
    """The wake-ups of one process."""

    def __init__(self, workflows: WorkflowServer) -> None:
        """Wakes nothing yet."""
        self._workflows = workflows
        self._running: set[asyncio.Task[bool]] = set()
        self._second = 0
        self._count = 0

    async def wake(self, workflow_id: str) -> None:
        """Wake a workflow in the background, or leave it to the relay."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > MOST_PER_SECOND:
            return
        task = asyncio.create_task(self._workflows.wake(workflow_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
