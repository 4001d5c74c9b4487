"""The changes since an input request was opened, for a person who decides late."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.permissions import EDITS
from domain.tool_calls import ToolEffect
from persistence.executions.signals import SignalKind
from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ExecutionRow, SignalRow
from persistence.tables.sessions import InputRequestRow, ToolCallRow

LISTED_FILES = 20
"""Paths that are named (chosen: a short list on a page)."""


@dataclass(frozen=True, slots=True)
class RequestChanges:
    """Changes since a request was opened. `files` are the first `LISTED_FILES` paths.

    `task_version` is the present version of the task, if it is another one than the execution's.
    """

    task_version: int | None
    messages: int
    files: Sequence[str]
    other_calls: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing that Perdure knows of has changed."""
        return not (self.task_version or self.messages or self.files or self.other_calls)


async def find_changes(session: AsyncSession, row: InputRequestRow) -> RequestChanges:
    """The changes since a request was opened: by people, and by other calls of the execution."""
    execution, task = ExecutionRow, TaskRow
    version = await session.scalar(
        select(task.version)
        .join(execution, execution.task_id == task.id)
        .where(execution.id == row.execution_id, task.version != execution.task_version)
    )
    messages = await session.scalar(
        select(func.count())
        .select_from(SignalRow)
        .where(
            SignalRow.execution_id == row.execution_id,
            SignalRow.kind == SignalKind.MESSAGE,
            SignalRow.created_at > row.created_at,
        )
    )
    files, others = await _changing_calls(session, row)
    return RequestChanges(version, messages or 0, files[:LISTED_FILES], others)


async def _changing_calls(session: AsyncSession, row: InputRequestRow) -> tuple[Sequence[str], int]:
    """The paths that file tools have written since, and the number of other calls with effects."""
    call = ToolCallRow
    found = await session.execute(
        select(call.name, func.coalesce(call.approved_input, call.input))
        .where(
            call.execution_id == row.execution_id,
            call.id.is_distinct_from(row.tool_call_id),
            call.started_at.is_not(None),
            call.completed_at > row.created_at,
            call.effect != ToolEffect.READ_ONLY,
        )
        .order_by(call.completed_at)
    )
    calls = found.all()
    paths = [json.loads(given).get("path") for name, given in calls if name in EDITS]
    return list(dict.fromkeys(paths)), sum(name not in EDITS for name, _ in calls)
