"""What services need from outside Postgres; `runtime/` implements it with Temporal."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from domain.schedules import Backfill, Differences, TaskSchedule


class ScheduleServer(Protocol):
    """The server that keeps schedules. A method returns False or None if it is not available."""

    async def apply(self, wanted: TaskSchedule) -> bool:
        """Create the schedule, or change it to this one."""
        ...

    async def remove(self, task_id: UUID) -> bool:
        """Delete the task's schedule, if there is one."""
        ...

    async def backfill(self, wanted: Backfill) -> bool:
        """Start a run for each time in the range; a repeated id has no further effect."""
        ...

    async def compare(self, wanted: Mapping[UUID, TaskSchedule]) -> Differences | None:
        """The schedules that are missing or differ on the server, and those it has in addition."""
        ...
