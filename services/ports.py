"""What services need from outside the database; the composition roots pass in the adapters."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

from domain.executions.dispatch import StartRequest, WorkflowFacts, WorkflowState
from domain.mcp.health import McpHealth
from domain.mcp.servers import ResolvedServer
from domain.schedules.schedule import Backfill, Differences, ScheduleState, TaskSchedule


class WorkflowServer(Protocol):
    """Starts and wakes workflows (`runtime/dispatch.py`). No method raises if Temporal is down."""

    async def start(self, request: StartRequest) -> bool:
        """Start the workflow of an execution. "Already started" counts as started.

        Returns False if Temporal did not confirm the start; the relay then tries again.
        """

    async def wake(self, workflow_id: str) -> bool | None:
        """Signal a workflow that it has unread signals.

        False: no such workflow is running. None: Temporal did not answer.
        """

    async def state(self, workflow_id: str) -> WorkflowState | None:
        """Return the state of a workflow, or None if Temporal did not answer."""

    async def start_delivery(self, notification_id: UUID, facts: WorkflowFacts) -> bool | None:
        """Start a delivery that was never started. Return whether its workflow is running now.

        False: the workflow has ended. None: Temporal did not answer.
        """


class ScheduleServer(Protocol):
    """Keeps schedules (`runtime/schedules.py`). False or None: Temporal did not answer."""

    async def apply(self, wanted: TaskSchedule) -> bool:
        """Create the schedule, or update it to `wanted`."""

    async def remove(self, task_id: UUID) -> bool:
        """Delete the schedule of a task if it exists."""

    async def backfill(self, wanted: Backfill) -> bool:
        """Start the runs of a time range. A repeat with the same id starts nothing."""

    async def compare(self, wanted: Mapping[UUID, TaskSchedule]) -> Differences | None:
        """Return the tasks whose schedules differ from `wanted`, and the unknown schedules."""

    async def state(self, wanted: TaskSchedule) -> ScheduleState | None:
        """Return the state of the schedule in Temporal."""


CheckHealth = Callable[[UUID, ResolvedServer], Awaitable[McpHealth]]
"""Checks an MCP server over HTTP for a user (`runtime/mcp_health.py`); never raises."""


class UserCache(Protocol):
    """Remembers facts about users for some seconds."""

    def forget(self, user_id: UUID) -> None:
        """Read the facts about this user again, because they have changed."""
