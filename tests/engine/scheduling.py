"""Scheduled tasks as tests see them: created as the API does, started by the real server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from temporalio.client import ScheduleDescription, ScheduleHandle
from temporalio.service import RPCError, RPCStatusCode

from contracts import names
from definitions.tasks import TaskDefinition
from domain.ids import new_id
from domain.schedules.schedule import Backfill, OverlapPolicy
from persistence.definitions import scheduled_runs, schedules, tasks
from persistence.definitions.scheduled_runs import ScheduledRun
from persistence.definitions.schedules import StoredSchedule
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ExecutionRow
from runtime.schedules import Schedules
from services.scheduling import synchronisation
from tests.engine.driver import Engine, Run
from tests.engine.storing import Turn, script
from tests.waiting import eventually

RARELY = "0 0 29 2 *"
"""A schedule that starts nothing during a test."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A task with a schedule."""

    engine: Engine
    id: UUID

    @classmethod
    async def make(
        cls,
        engine: Engine,
        *turns: Turn,
        columns: dict[str, Any] | None = None,
        synchronise: bool = True,
        **definition: Any,
    ) -> "Scheduled":
        """A task with this script and the schedule `columns`, sent to Temporal if wanted."""
        name = f"scheduled {new_id()}"
        definition.setdefault("prompt_template", f"{name}\n\n{script(*turns)}")
        row = TaskRow(
            user_id=engine.user_id,
            **{
                "name": name,
                "tags": ["tests"],
                "is_public": False,
                "is_active": True,
                "is_scheduled": True,
                "schedule_cron": RARELY,
                "schedule_timezone": "UTC",
                "schedule_enabled": True,
                "schedule_overlap_policy": "skip",
                **(columns or {}),
            },
        )
        parsed = TaskDefinition.model_validate(definition)
        async with engine.database.transaction() as session:
            await tasks.create(session, row, parsed.model_dump(mode="json"))
        made = cls(engine, row.id)
        if synchronise:
            assert await made.synchronise()
        return made

    # --- the task -----------------------------------------------------------------------------

    async def synchronise(self) -> bool:
        """Send the schedule to Temporal, as the gateway does after each change."""
        server = Schedules(self.engine.client)
        return await synchronisation.synchronise(self.engine.database, server, self.id)

    async def change(self, *, synchronise: bool = True, **columns: Any) -> None:
        """As `PATCH /tasks/{id}`."""
        async with self.engine.database.transaction() as session:
            stored = await self._lock(session)
            await tasks.change(session, stored, columns, stored.definition, by=self.engine.user_id)
        if synchronise:
            assert await self.synchronise()

    async def delete(self, *, synchronise: bool = True) -> None:
        """As `DELETE /tasks/{id}`."""
        async with self.engine.database.transaction() as session:
            await tasks.delete(session, (await self._lock(session)).row)
        if synchronise:
            assert await self.synchronise()

    async def _lock(self, session: Any) -> StoredTask:
        stored = await tasks.find(session, self.id, lock=True)
        assert stored is not None
        return stored

    async def find_stored(self) -> StoredSchedule:
        async with self.engine.database.reading() as session:
            kept = await schedules.find(session, self.id)
        assert kept is not None
        return kept

    # --- Temporal -----------------------------------------------------------------------------

    @property
    def handle(self) -> ScheduleHandle:
        return self.engine.client.get_schedule_handle(names.schedule_id(self.id))

    async def describe(self) -> ScheduleDescription | None:
        """The schedule in Temporal, if there is one."""
        try:
            return await self.handle.describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    # --- scheduled runs -----------------------------------------------------------------------

    async def runs(self) -> Sequence[Run]:
        """The executions that it started, oldest first."""
        query = select(ExecutionRow).where(
            ExecutionRow.task_id == self.id, ExecutionRow.trigger_type == "scheduled"
        )
        async with self.engine.database.reading() as session:
            rows = (await session.scalars(query.order_by(ExecutionRow.id))).all()
        return [Run(self.engine, row.id, row.workflow_id) for row in rows]

    async def run(self, number: int = 0) -> Run:
        """Wait for its n-th execution."""

        async def made() -> Run | None:
            runs = await self.runs()
            return runs[number] if len(runs) > number else None

        return await eventually(made, what=f"scheduled run {number}")

    async def find_scheduled_runs(self) -> Sequence[ScheduledRun]:
        """Its runs as the API shows them, newest first."""
        async with self.engine.database.reading() as session:
            return await scheduled_runs.list_recent(session, self.id, limit=10)

    async def backfill(
        self, start_at: datetime, end_at: datetime, overlap: OverlapPolicy = "allow_all"
    ) -> None:
        """Start the runs of a time range; Temporal does not record those that may overlap."""
        wanted = Backfill(new_id(), self.id, start_at, end_at, overlap)
        assert await Schedules(self.engine.client).backfill(wanted)
