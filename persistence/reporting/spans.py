"""How long each step of an execution took, for the timeline of its report."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Executable, case, func, null, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.report_facts import Lane, TimelineSpan
from domain.executions.steps import CallStatus, ToolCallStatus
from domain.tools.engine import ENGINE_TOOLS
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow, ModelCallRow, ToolCallRow


async def read_spans(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Sequence[TimelineSpan]:
    """All spans, each lane in the order of time; a span that is still open lasts until `now`."""
    lanes: dict[Lane, Executable] = {
        "model": _model_calls(execution_id),
        "tools": _tool_calls(execution_id),
        "subtasks": _subtasks(execution_id),
        "people": _input_requests(execution_id),
    }
    return [
        TimelineSpan(
            lane=lane,
            label=row.label,
            turn=row.turn,
            started_at=row.started_at,
            ended_at=max(row.ended_at or now, row.started_at),
            is_error=row.is_error,
        )
        for lane, statement in lanes.items()
        for row in await session.execute(statement)
    ]


def _model_calls(execution_id: UUID) -> Executable:
    call = ModelCallRow
    # The end of a call whose answer a crash lost is unknown, so its span has no length.
    lost_at = case((call.status == CallStatus.LOST, call.started_at))
    return (
        select(
            call.model.label("label"),
            call.turn,
            call.started_at,
            func.coalesce(call.completed_at, lost_at).label("ended_at"),
            call.status.in_([CallStatus.FAILED, CallStatus.LOST]).label("is_error"),
        )
        .where(call.execution_id == execution_id, call.superseded_at.is_(None))
        .order_by(call.started_at)
    )


def _tool_calls(execution_id: UUID) -> Executable:
    """The calls of tools that run here; questions and subtasks have lanes of their own."""
    call = ToolCallRow
    answered_at = (
        select(func.max(InputRequestRow.answered_at))
        .where(InputRequestRow.tool_call_id == call.id)
        .scalar_subquery()
    )
    started_at = func.coalesce(call.started_at, answered_at, call.created_at)
    return (
        select(
            call.name.label("label"),
            call.turn,
            started_at.label("started_at"),
            call.completed_at.label("ended_at"),
            call.is_error,
        )
        .where(
            call.execution_id == execution_id,
            call.superseded_at.is_(None),
            call.name.not_in(ENGINE_TOOLS),
            call.status != ToolCallStatus.WAITING_FOR_USER,
        )
        .order_by(started_at)
    )


def _subtasks(execution_id: UUID) -> Executable:
    child = ExecutionRow
    return (
        select(
            child.title.label("label"),
            null().label("turn"),
            child.created_at.label("started_at"),
            child.completed_at.label("ended_at"),
            (child.status == "failed").label("is_error"),
        )
        .where(child.parent_execution_id == execution_id)
        .order_by(child.created_at)
    )


def _input_requests(execution_id: UUID) -> Executable:
    request = InputRequestRow
    is_expired = request.status == "expired"
    ended_at = func.coalesce(request.answered_at, case((is_expired, request.due_at)))
    return (
        select(
            request.kind.label("label"),
            null().label("turn"),
            request.created_at.label("started_at"),
            ended_at.label("ended_at"),
            is_expired.label("is_error"),
        )
        .where(request.execution_id == execution_id)
        .order_by(request.created_at)
    )
