"""The protocols of what services use besides Postgres. `runtime/` implements them over Temporal."""

from typing import Protocol
from uuid import UUID

from domain.dispatch import StartRequest, WorkflowFacts, WorkflowState


class WorkflowDispatcher(Protocol):
    """Starts, wakes and describes workflows (`runtime/dispatch.py`).

    Every method reports an unreachable Temporal in its result and never raises for it: Postgres
    holds what is due, and a background task of the worker repeats the call.
    """

    async def start(self, request: StartRequest) -> bool:
        """Start the workflow of an execution. Return False if Temporal was not reached.

        A workflow that was started before counts as started, even if it has ended.
        """
        ...

    async def wake(self, workflow_id: str) -> bool:
        """Signal a workflow to read its signals. Return False if it did not get the signal."""
        ...

    async def state(self, workflow_id: str) -> WorkflowState | None:
        """Describe a workflow. Return None if Temporal was not reached."""
        ...

    async def start_delivery(self, notification_id: UUID, facts: WorkflowFacts) -> bool | None:
        """Start the workflow that delivers a notification, if it was never started.

        Return True if the workflow is running now, False if it has ended, None if Temporal was not
        reached.
        """
        ...
