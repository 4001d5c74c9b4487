"""The last scheduled run of the same task, for what changed since then."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.report_facts import FileVersion, PreviousRun
from persistence.tables.artifacts import ArtifactRow
from persistence.tables.executions import ExecutionRow

COMPARED_FILES = 1_000
"""Of each run, the newest: more than a run keeps (chosen)."""


async def earlier_run(session: AsyncSession, row: ExecutionRow) -> PreviousRun | None:
    """What the last scheduled run before this one that completed came to.

    None where this one is not scheduled or is the first: a run that somebody starts by hand would
    compare itself with what nobody expects to be repeated.
    """
    if row.task_id is None or row.trigger_type != "scheduled":
        return None
    before = (await session.execute(completed_before(row.task_id, row.id))).one_or_none()
    if before is None:
        return None
    return PreviousRun(
        execution_id=before.id,
        report_id=before.report_id,
        completed_at=before.completed_at,
        result=before.result_data,
        files=await _files(session, before.id),
        current_files=await _files(session, row.id),
    )


def completed_before(task_id: UUID, execution_id: UUID) -> Select[Any]:
    """The last scheduled run of the task before this execution that completed."""
    ran = ExecutionRow
    return (
        select(ran.id, ran.report_id, ran.completed_at, ran.result_data)
        .where(
            ran.task_id == task_id,
            # As literals, so that the planner sees that the partial index holds them.
            ran.trigger_type == literal_column("'scheduled'"),
            ran.status == literal_column("'completed'"),
            ran.id < execution_id,
        )
        .order_by(ran.id.desc())
        .limit(1)
    )


async def _files(session: AsyncSession, execution_id: UUID) -> Sequence[FileVersion]:
    """What a run kept on purpose, newest last."""
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
