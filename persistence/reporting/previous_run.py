"""The previous scheduled run of the same task, which a report compares its run with."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.report_facts import FileVersion, PreviousRun
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow

COMPARED_FILES = 1_000
"""Of each run, the newest: more than a run saves (chosen)."""


async def read_previous_run(session: AsyncSession, row: ExecutionRow) -> PreviousRun | None:
    """The last scheduled run before this one that completed.

    None if this run is the first one or not scheduled: a run that a person starts may do something
    else than the runs before it.
    """
    if row.task_id is None or row.trigger_type != "scheduled":
        return None
    previous = (await session.execute(select_previous_run(row.task_id, row.id))).one_or_none()
    if previous is None:
        return None
    return PreviousRun(
        execution_id=previous.id,
        report_id=previous.report_id,
        completed_at=previous.completed_at,
        result=previous.result_data,
        files=await _files(session, previous.id),
        current_files=await _files(session, row.id),
    )


def select_previous_run(task_id: UUID, execution_id: UUID) -> Select[Any]:
    """Select the last scheduled run of the task before this execution that completed."""
    run = ExecutionRow
    return (
        select(run.id, run.report_id, run.completed_at, run.result_data)
        .where(
            run.task_id == task_id,
            # As literals, so that the planner can use the partial index.
            run.trigger_type == literal_column("'scheduled'"),
            run.status == literal_column("'completed'"),
            run.id < execution_id,
        )
        .order_by(run.id.desc())
        .limit(1)
    )


async def _files(session: AsyncSession, execution_id: UUID) -> Sequence[FileVersion]:
    """The files that the model saved in a run, the newest last."""
    rows = await session.execute(
        select(ArtifactRow.name, ArtifactRow.sha256, ArtifactRow.size_bytes)
        .where(ArtifactRow.execution_id == execution_id, ArtifactRow.kind == "artifact")
        .order_by(ArtifactRow.id.desc())
        .limit(COMPARED_FILES)
    )
    return [
        FileVersion(name=file.name, sha256=file.sha256, size_bytes=file.size_bytes)
        for file in reversed(rows.all())
    ]
