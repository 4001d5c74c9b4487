"""The subtasks of an execution: the whole tree, its size, and the results for the parent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import ExecutionStatus
from domain.executions.steps import ChildArtifact, ChildResult
from persistence.db import sql
from persistence.tables.columns import read_as
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import ArtifactRow

LISTED_ARTIFACTS = 20
"""Artifacts that the result of one subtask lists (chosen)."""

LARGEST_TREE = 2_000
"""Executions that a tree lists: a plan of 1,000 steps, each with a subtask (chosen)."""

_SQL = sql.load("executions/subtasks.sql")


async def count_descendants(session: AsyncSession, execution_id: UUID) -> int:
    """The number of subtasks in the whole tree of an execution."""
    count: int = await session.scalar(_SQL["count_descendants"], {"id": execution_id}) or 0
    return count


async def read_tree(session: AsyncSession, root: UUID) -> Sequence[Mapping[str, Any]]:
    """An execution and its subtasks at all levels, each after its parent, with their depth.

    One more than `LARGEST_TREE` if there are more; of the deepest level, some are missing then.
    """
    found = await session.execute(_SQL["read_tree"], {"id": root, "limit": LARGEST_TREE + 1})
    return [dict(row) for row in found.mappings()]


async def list_results(
    session: AsyncSession, parent_id: UUID, ids: Sequence[UUID], *, is_all: bool = False
) -> Sequence[ChildResult]:
    """The results of these subtasks, and of the others that the same tool calls started.

    `is_all`: the results of all subtasks of the execution.
    """
    if not (ids or is_all):
        return ()
    row = ExecutionRow
    calls = select(row.parent_tool_call_id).where(row.id.in_(ids))
    of_calls = true() if is_all else or_(row.id.in_(ids), row.parent_tool_call_id.in_(calls))
    found = await session.scalars(
        select(row).where(row.parent_execution_id == parent_id, of_calls).order_by(row.id)
    )
    rows = found.all()
    artifacts = await _list_artifacts(session, [row.id for row in rows])
    return [
        read_as(
            ChildResult,
            row,
            execution_id=row.id,
            status=ExecutionStatus(row.status),
            text=(row.result_data or {}).get("text"),
            artifacts=artifacts.get(row.id, ()),
        )
        for row in rows
    ]


async def _list_artifacts(
    session: AsyncSession, ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[ChildArtifact]]:
    """The files that each execution saved, without long outputs of tools; the first of them."""
    artifact = ArtifactRow
    position = func.row_number().over(partition_by=artifact.execution_id, order_by=artifact.id)
    ranked = (
        select(
            *(artifact.execution_id, artifact.id, artifact.name),
            *(artifact.media_type, artifact.size_bytes, position.label("position")),
        )
        .where(artifact.execution_id.in_(ids), artifact.kind != "tool_output")
        .subquery()
    )
    listed = defaultdict(list)
    found = select(ranked).where(ranked.c.position <= LISTED_ARTIFACTS).order_by(ranked.c.id)
    for row in await session.execute(found):
        listed[row.execution_id].append(read_as(ChildArtifact, row))
    return listed
