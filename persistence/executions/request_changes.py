"""The changes since an input request was opened, for a person who decides late."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.signals import SignalKind
from domain.executions.steps import ToolCallStatus
from domain.people.rechecks import ApprovalAge, is_same_input
from domain.people.requests import RequestKind
from domain.rules.decisions import is_covered
from domain.rules.permissions import EDITS
from domain.tools.calls import ToolEffect
from persistence.executions.snapshot import definition_of
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
    version, messages = await _count_changes_by_people(session, row)
    files, others = await _find_changing_calls(session, row)
    return RequestChanges(version, messages, files[:LISTED_FILES], others)


async def is_rechecked(session: AsyncSession, row: InputRequestRow) -> bool:
    """Whether a stale approval of the call does not run it (`domain.people.rechecks`)."""
    if row.kind != RequestKind.APPROVAL or row.tool_name is None or row.tool_input is None:
        return False
    execution = await session.get_one(ExecutionRow, row.execution_id)
    policy = (await definition_of(session, execution)).get("human_input_policy") or {}
    rules = policy.get("recheck_tools", ())
    return bool(rules) and is_covered(rules, row.tool_name, json.loads(row.tool_input))


async def find_approval_age(session: AsyncSession, call_id: UUID) -> ApprovalAge | None:
    """What happened between a call and its approval by a person.

    None without one, and for a call that was started before: it was interrupted, and runs again.
    """
    row: InputRequestRow | None = await session.scalar(
        select(InputRequestRow)
        .join(ToolCallRow, ToolCallRow.id == InputRequestRow.tool_call_id)
        .where(
            ToolCallRow.id == call_id,
            ToolCallRow.started_at.is_(None),
            InputRequestRow.execution_id == ToolCallRow.execution_id,  # there is an index for it
            InputRequestRow.kind == RequestKind.APPROVAL,
            InputRequestRow.answered_at.is_not(None),
        )
        .order_by(InputRequestRow.id.desc())
        .limit(1)
    )
    if row is None or row.answered_at is None:
        return None
    version, messages = await _count_changes_by_people(session, row)
    files, others = await _find_changing_calls(session, row)
    return ApprovalAge(row.answered_at - row.created_at, messages, version, files, others)


async def has_succeeded(session: AsyncSession, execution_id: UUID, tool_name: str) -> bool:
    """Whether a call of this tool has succeeded in an execution."""
    call = ToolCallRow
    found = select(call.id).where(
        call.execution_id == execution_id,
        call.name == tool_name,
        call.status == ToolCallStatus.SUCCEEDED,
        call.superseded_at.is_(None),
    )
    return await session.scalar(found.limit(1)) is not None


async def find_reason(
    session: AsyncSession, execution_id: UUID, tool_name: str, tool_input: str, *, since_turn: int
) -> str | None:
    """The reason of the latest call of an execution with this input, since this turn."""
    call = ToolCallRow
    found = await session.execute(
        select(call.reason, func.coalesce(call.approved_input, call.input))
        .where(
            call.execution_id == execution_id,
            call.turn >= since_turn,
            call.name == tool_name,
            call.superseded_at.is_(None),
        )
        .order_by(call.turn.desc(), call.position.desc())
    )
    # An edited input is stored as JSONB, which does not keep the order of its keys.
    reasons = (reason for reason, ran in found.all() if is_same_input(ran, tool_input))
    return next(reasons, None)


async def _count_changes_by_people(
    session: AsyncSession, row: InputRequestRow
) -> tuple[int | None, int]:
    """The task's version if it was edited, and the number of messages, since a request."""
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
    return version, messages or 0


async def _find_changing_calls(
    session: AsyncSession, row: InputRequestRow
) -> tuple[Sequence[str], int]:
    """The paths that file tools have written since, and the number of other calls with effects.

    Those that ended after the answer do not count: they were approved or decided before.
    """
    call = ToolCallRow
    ended = call.completed_at > row.created_at
    if row.answered_at is not None:
        ended &= call.completed_at <= row.answered_at
    found = await session.execute(
        select(call.name, func.coalesce(call.approved_input, call.input))
        .where(
            call.execution_id == row.execution_id,
            call.id.is_distinct_from(row.tool_call_id),
            call.started_at.is_not(None),
            ended,
            call.effect != ToolEffect.READ_ONLY,
        )
        .order_by(call.completed_at)
    )
    calls = found.all()
    paths = [json.loads(given).get("path") for name, given in calls if name in EDITS]
    return list(dict.fromkeys(paths)), sum(name not in EDITS for name, _ in calls)
