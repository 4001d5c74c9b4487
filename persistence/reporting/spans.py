"""What took how long in an execution: every call, every question, for the report's timeline."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.engine_tools import ENGINE_TOOLS
from domain.report_facts import TimelineSpan
from domain.steps import CallStatus, ToolCallStatus
from persistence.tables.executions import ExecutionRow
from persistence.tables.input_requests import InputRequestRow
from persistence.tables.model_calls import ModelCallRow
from persistence.tables.tool_calls import ToolCallRow


async def spans_of(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Sequence[TimelineSpan]:
    """Everything that took time, each lane in order; what is still open lasts until `now`."""
    return [
        *await _model_spans(session, execution_id, now),
        *await _tool_spans(session, execution_id, now),
        *await _subtask_spans(session, execution_id, now),
        *await _people_spans(session, execution_id, now),
    ]


async def _model_spans(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Iterator[TimelineSpan]:
    call = ModelCallRow
    rows = await session.execute(
        select(call.turn, call.model, call.status, call.started_at, call.completed_at)
        .where(call.execution_id == execution_id, call.superseded_at.is_(None))
        .order_by(call.started_at)
    )
    # Nobody knows when a crash took an answer, so a lost call has only its beginning.
    return (
        TimelineSpan(
            lane="model",
            label=row.model,
            turn=row.turn,
            started_at=row.started_at,
            ended_at=row.completed_at or (row.started_at if row.status == CallStatus.LOST else now),
            is_error=row.status in {CallStatus.FAILED, CallStatus.LOST},
        )
        for row in rows
    )


async def _tool_spans(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Iterator[TimelineSpan]:
    """What ran here; questions and subtasks have lanes of their own."""
    call = ToolCallRow
    answered = (
        select(func.max(InputRequestRow.answered_at))
        .where(InputRequestRow.tool_call_id == call.id)
        .scalar_subquery()
    )
    began = func.coalesce(call.started_at, answered, call.created_at).label("began_at")
    rows = await session.execute(
        select(call.turn, call.name, call.status, call.is_error, began, call.completed_at)
        .where(
            call.execution_id == execution_id,
            call.superseded_at.is_(None),
            call.name.not_in(ENGINE_TOOLS),
            call.status != ToolCallStatus.WAITING_FOR_USER,
        )
        .order_by(began)
    )
    return (
        TimelineSpan(
            lane="tools",
            label=row.name,
            turn=row.turn,
            started_at=row.began_at,
            ended_at=max(row.completed_at or now, row.began_at),
            is_error=row.is_error,
        )
        for row in rows
    )


async def _subtask_spans(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Iterator[TimelineSpan]:
    child = ExecutionRow
    rows = await session.execute(
        select(child.title, child.status, child.created_at, child.completed_at)
        .where(child.parent_execution_id == execution_id)
        .order_by(child.created_at)
    )
    return (
        TimelineSpan(
            lane="subtasks",
            label=row.title,
            turn=None,
            started_at=row.created_at,
            ended_at=row.completed_at or now,
            is_error=row.status == "failed",
        )
        for row in rows
    )


async def _people_spans(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Iterator[TimelineSpan]:
    asked = InputRequestRow
    expired_at = case((asked.status == "expired", asked.due_at))
    rows = await session.execute(
        select(
            asked.kind,
            asked.status,
            asked.created_at,
            func.coalesce(asked.answered_at, expired_at).label("ended_at"),
        )
        .where(asked.execution_id == execution_id)
        .order_by(asked.created_at)
    )
    return (
        TimelineSpan(
            lane="people",
            label=row.kind,
            turn=None,
            started_at=row.created_at,
            ended_at=row.ended_at or now,
            is_error=row.status == "expired",
        )
        for row in rows
    )
