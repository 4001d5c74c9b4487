"""Reading where the record stands, so that an attempt can continue there."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import JSON, Boolean, Text, Uuid, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain.errors import WorkspaceElsewhereError
from domain.limits import DEFAULT_MAX_TURNS, Limits
from domain.model_calls import Prefix
from domain.people import HumanInputPolicy
from domain.permissions import Permissions
from domain.states import ExecutionStatus
from domain.steps import (
    CallStatus,
    OpenRequest,
    RequestKind,
    Snapshot,
    StoredMessage,
    ToolCall,
    ToolCallStatus,
)
from domain.tool_calls import ProcessIdentity, ToolEffect
from persistence.tables.executions import ExecutionRow
from persistence.tables.input_requests import InputRequestRow
from persistence.tables.model_calls import ModelCallRow
from persistence.tables.sessions import MessageRow, SessionRow
from persistence.tables.tasks import TaskVersionRow
from persistence.tables.tool_calls import ToolCallRow

T = TypeVar("T")


async def definition_of(session: AsyncSession, row: ExecutionRow) -> dict[str, Any]:
    """The raw definition an execution pins: its task's version, or its own."""
    if row.definition is not None:
        return row.definition
    version = await session.get_one(TaskVersionRow, (row.task_id, row.task_version))
    return version.definition


PINNED = text("""
SELECT v.definition, p.body AS prefix, s.workspace_host_id, EXISTS (
    SELECT FROM outbox o WHERE o.execution_id = e.id AND o.consumed_at IS NULL
) AS has_unread
FROM executions e
JOIN prefixes p ON p.sha256 = e.prefix_sha256
JOIN sessions s ON s.id = e.session_id
LEFT JOIN task_versions v ON v.task_id = e.task_id AND v.version = e.task_version
WHERE e.id = :execution_id
""").columns(definition=JSON, prefix=Text, workspace_host_id=Uuid, has_unread=Boolean)
"""What an execution pins, in one round trip."""


async def load(
    session: AsyncSession, row: ExecutionRow, *, host_id: UUID, is_first: bool
) -> Snapshot:
    """Everything the loop needs, of an execution whose row is locked and whose prefix is pinned.

    `is_first`: nobody has moved it yet, so there are no calls to look for.

    Raises:
        WorkspaceElsewhereError: the session's workspace is on another host.
    """
    pinned = (await session.execute(PINNED, {"execution_id": row.id})).one()
    raw = row.definition if row.definition is not None else pinned.definition
    definition = TaskDefinition.model_validate(raw)
    body = json.loads(pinned.prefix)
    if body["tools"] and pinned.workspace_host_id != host_id:
        await _claim_workspace(session, row, pinned.workspace_host_id, host_id)
    transcript = await _transcript(session, row)
    calls = _NO_CALLS if is_first else await _calls(session, row)
    return Snapshot(
        execution_id=row.id,
        session_id=_known(row.session_id),
        title=row.title,
        status=ExecutionStatus(row.status),
        status_reason=row.status_reason,
        depth=row.depth,
        prefix=Prefix(**body),
        prefix_sha256=_known(row.prefix_sha256),
        permissions=permissions_of(definition),
        limits=_limits(row, definition),
        people=HumanInputPolicy(**definition.human_input_policy.model_dump()),
        definition=raw,
        transcript=transcript,
        running_ms=row.running_ms,
        stalled_attempts=row.stalled_attempts,
        tool_calls=() if is_first else await _open_tool_calls(session, row, transcript),
        open_requests=() if is_first else await _open_requests(session, row),
        has_unread=pinned.has_unread,
        **calls,
        cost_usd=row.cost_usd,
    )


def permissions_of(definition: TaskDefinition) -> Permissions:
    """The definition's rules for tools."""
    return Permissions(
        allowed=definition.allowed_tools,
        ask=definition.ask_tools,
        disallowed=definition.disallowed_tools,
        mode=definition.sdk_options.permission_mode,
    )


def _known(value: T | None) -> T:
    if value is None:
        raise LookupError("create_session or render_prompt has not run")
    return value


def _limits(row: ExecutionRow, definition: TaskDefinition) -> Limits:
    options = definition.sdk_options
    return Limits(
        max_turns=options.max_turns or DEFAULT_MAX_TURNS,
        timeout_seconds=options.timeout_seconds,
        deadline_at=row.deadline_at,
        budget_usd=row.budget_usd if row.budget_usd is not None else options.max_budget_usd,
        segment_turns=options.segment_turns,
    )


async def _claim_workspace(
    session: AsyncSession, row: ExecutionRow, holder: UUID | None, host_id: UUID
) -> None:
    if holder is not None:
        raise WorkspaceElsewhereError(f"The workspace is on host {holder}; this is {host_id}.")
    await session.execute(
        update(SessionRow).where(SessionRow.id == row.session_id).values(workspace_host_id=host_id)
    )


async def _transcript(session: AsyncSession, row: ExecutionRow) -> Sequence[StoredMessage]:
    rows = await session.execute(
        select(
            MessageRow.seq,
            MessageRow.role,
            MessageRow.content,
            MessageRow.execution_id,
            MessageRow.stop_reason,
        )
        .where(MessageRow.session_id == row.session_id, MessageRow.superseded_at.is_(None))
        .order_by(MessageRow.seq)
    )
    return [StoredMessage(*values) for values in rows]


_NO_CALLS: Mapping[str, Any] = {
    "turn": 0,
    "tries": 0,
    "failures_in_a_row": 0,
    "lost_intent_sha256": None,
}


async def _calls(session: AsyncSession, row: ExecutionRow) -> Mapping[str, Any]:
    """Where the model calls stand; a call that a crash took is charged at its estimate here."""
    lost = (
        await session.execute(
            update(ModelCallRow)
            .where(ModelCallRow.execution_id == row.id, ModelCallRow.status == CallStatus.INTENDED)
            .values(
                status=CallStatus.LOST,
                cost_usd=ModelCallRow.estimate_usd,
                usage_estimated=True,
            )
            .returning(ModelCallRow.cost_usd, ModelCallRow.request_sha256)
        )
    ).one_or_none()
    if lost is not None and lost.cost_usd is not None:
        row.cost_usd += lost.cost_usd
    tries = await _tries(session, row)
    is_open = bool(tries) and tries[-1].status != CallStatus.SUCCEEDED
    failed = [t for t in tries if t.status == CallStatus.FAILED]
    return {
        "turn": tries[-1].turn if tries else 0,
        "tries": len(tries) if is_open else 0,
        "failures_in_a_row": len(failed) if is_open else 0,
        "lost_intent_sha256": lost.request_sha256 if lost is not None else None,
    }


async def _tries(session: AsyncSession, row: ExecutionRow) -> Sequence[Any]:
    """The tries of the last turn, oldest first."""
    live = (ModelCallRow.execution_id == row.id, ModelCallRow.superseded_at.is_(None))
    last = (
        select(ModelCallRow.turn).where(*live).order_by(ModelCallRow.turn.desc()).limit(1)
    ).scalar_subquery()
    result = await session.execute(
        select(ModelCallRow.turn, ModelCallRow.status)
        .where(*live, ModelCallRow.turn == last)
        .order_by(ModelCallRow.try_number)
    )
    return result.all()


async def _open_tool_calls(
    session: AsyncSession, row: ExecutionRow, transcript: Sequence[StoredMessage]
) -> Sequence[ToolCall]:
    """The last turn's calls, while the transcript ends with the turn that made them."""
    if not transcript or transcript[-1].role != "assistant":
        return ()
    live = (ToolCallRow.execution_id == row.id, ToolCallRow.superseded_at.is_(None))
    last = (
        select(ModelCallRow.turn)
        .where(
            ModelCallRow.execution_id == row.id,
            ModelCallRow.superseded_at.is_(None),
            ModelCallRow.status == CallStatus.SUCCEEDED,
        )
        .order_by(ModelCallRow.turn.desc())
        .limit(1)
    ).scalar_subquery()
    rows = await session.scalars(
        select(ToolCallRow).where(*live, ToolCallRow.turn == last).order_by(ToolCallRow.position)
    )
    return [_tool_call(r) for r in rows]


def _tool_call(row: ToolCallRow) -> ToolCall:
    process = None
    if row.host_id and row.process_group is not None and row.process_started_ticks is not None:
        process = ProcessIdentity(row.host_id, row.process_group, row.process_started_ticks)
    return ToolCall(
        id=row.id,
        turn=row.turn,
        position=row.position,
        tool_use_id=row.tool_use_id,
        name=row.name,
        input=row.input,
        input_sha256=row.input_sha256,
        effect=ToolEffect(row.effect),
        status=ToolCallStatus(row.status),
        approved_input=row.approved_input,
        reason=row.reason,
        output=row.output,
        is_error=row.is_error,
        child_execution_id=row.child_execution_id,
        wakes_at=row.wakes_at,
        process=process,
        output_artifact_id=row.output_artifact_id,
    )


async def _open_requests(session: AsyncSession, row: ExecutionRow) -> Sequence[OpenRequest]:
    rows = await session.scalars(
        select(InputRequestRow).where(
            InputRequestRow.execution_id == row.id, InputRequestRow.status == "open"
        )
    )
    return [open_request(r) for r in rows]


def open_request(row: InputRequestRow) -> OpenRequest:
    """The request as the loop sees it."""
    return OpenRequest(
        id=row.id,
        kind=RequestKind(row.kind),
        tool_call_id=row.tool_call_id,
        status=row.status,
        due_at=row.due_at,
        on_expiry=row.on_expiry,
        default_answer=row.default_answer,
        answer=row.answer,
    )
