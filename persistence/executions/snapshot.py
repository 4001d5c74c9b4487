"""Reads the record of an execution, so that an attempt can continue from it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import TaskDefinition
from domain.connections import read_connections
from domain.errors import ErrorCode
from domain.model_calls import Prefix, count_failures
from domain.people import OWNERS_PEOPLE, InputPolicy, RequestKind, group_of
from domain.states import ExecutionStatus
from domain.steps import (
    CallStatus,
    Failure,
    OpenRequest,
    Snapshot,
    StoredMessage,
    ToolCall,
    ToolCallStatus,
)
from domain.tool_calls import ProcessIdentity, ToolEffect
from domain.workspace_snapshots import WorkspaceVersion
from persistence.db.database import Database
from persistence.identity import groups
from persistence.sessions import lineage
from persistence.tables.columns import read_as
from persistence.tables.definitions import TaskVersionRow
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow, ModelCallRow, ToolCallRow


async def definition_of(session: AsyncSession, row: ExecutionRow) -> dict[str, Any]:
    """The raw definition that an execution pins: its task's version, or its own."""
    if row.definition is not None:
        return row.definition
    version = await session.get_one(TaskVersionRow, (row.task_id, row.task_version))
    return version.definition


def _without_owners_people(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """A public task's definition for another user's execution.

    The people whom the task's owner notifies or asks are left out: requests go to the user who
    runs it. Subtasks inherit the rest.
    """
    whole = definition.get("human_input_policy", {})
    policy = {k: v for k, v in whole.items() if k not in OWNERS_PEOPLE}
    return {**definition, "human_input_policy": policy, "notification_config": None}


@dataclass(frozen=True, slots=True)
class LostCall:
    """A model call whose answer was lost in a crash, and which is charged at its estimate."""

    cost_usd: Decimal
    request_sha256: bytes | None
    """Empty if a reset superseded the call: it is not repeated."""


async def load(
    database: Database, taken: SimpleNamespace, lost: LostCall | None = None
) -> Snapshot:
    """Everything the loop needs of an execution that was just taken.

    `taken` is the row of `admission.take`, read before a lost call was charged.
    """
    raw = _without_owners_people(taken.definition) if taken.is_of_others else taken.definition
    definition = TaskDefinition.model_validate(raw)
    transcript = await _transcript(database, taken)
    progress = _NO_PROGRESS
    if not taken.is_first:
        async with database.reading() as session:
            progress = await _load_progress(session, taken, transcript)
    return Snapshot(
        execution_id=taken.id,
        user_id=taken.user_id,
        session_id=taken.session_id,
        workspace=WorkspaceVersion(taken.workspace_epoch, taken.workspace_snapshot),
        title=taken.title,
        status=ExecutionStatus(taken.status),
        status_reason=taken.status_reason,
        depth=taken.depth,
        prefix=Prefix(**json.loads(taken.prefix)),
        prefix_sha256=taken.prefix_sha256,
        permissions=definition.permissions,
        limits=definition.limits(deadline_at=taken.deadline_at),
        is_budgeted=taken.is_budgeted,
        people=await _with_hours(database, definition.input_policy),
        definition=raw,
        transcript=transcript,
        foreign_executions=await _foreign_executions(database, taken, transcript),
        running_ms=taken.running_ms,
        stalled_attempts=taken.stalled_attempts,
        has_unread=taken.has_unread,
        is_pause_requested=taken.is_pause_requested,
        failure=_failure(taken),
        cost_usd=taken.cost_usd + (lost.cost_usd if lost else 0),
        lost_intent_sha256=lost.request_sha256 if lost else None,
        **progress,
    )


async def _with_hours(database: Database, policy: InputPolicy) -> InputPolicy:
    """The policy with the working hours of the group that is assigned, if it is one."""
    if (name := group_of(policy.assignee)) is None:
        return policy
    async with database.reading() as session:
        return replace(policy, hours=await groups.find_hours(session, name))


async def _transcript(database: Database, taken: SimpleNamespace) -> Sequence[StoredMessage]:
    """The session's messages; a fork shares messages of other sessions."""
    if taken.messages is not None:
        return [
            StoredMessage(**{**message, "execution_id": UUID(message["execution_id"])})
            for message in taken.messages
        ]
    if taken.forked_from_session_id is None:
        found = await database.raw.rows(TRANSCRIPT, {"session_id": taken.session_id})
    else:
        found = await lineage.load_transcript(database, taken.session_id)
    return [StoredMessage(**vars(message)) for message in found]


FOREIGN_PREFIXES = text("""
SELECT id FROM executions
WHERE id = ANY(CAST(:ids AS uuid[])) AND prefix_sha256 IS DISTINCT FROM :prefix_sha256
""")


async def _foreign_executions(
    database: Database, taken: SimpleNamespace, transcript: Sequence[StoredMessage]
) -> frozenset[UUID]:
    """Earlier executions of the transcript that used another prefix; usually there are none."""
    others = {message.execution_id for message in transcript} - {taken.id}
    if not others:
        return frozenset()
    parameters = {"ids": list(others), "prefix_sha256": taken.prefix_sha256}
    return frozenset(row.id for row in await database.raw.rows(FOREIGN_PREFIXES, parameters))


def _failure(taken: SimpleNamespace) -> Failure | None:
    """The failure that an earlier attempt wrote and could not report before it crashed."""
    if taken.error_code is None:
        return None
    return Failure(ErrorCode(taken.error_code), taken.error_message or "")


TRANSCRIPT = text("""
SELECT seq, role, content, execution_id, stop_reason FROM messages
WHERE session_id = :session_id AND superseded_at IS NULL
ORDER BY seq
""")


_NO_PROGRESS: Mapping[str, Any] = {"turn": 0, "tries": 0, "failures_in_a_row": 0}


async def _load_progress(
    session: AsyncSession, taken: SimpleNamespace, transcript: Sequence[StoredMessage]
) -> Mapping[str, Any]:
    """The progress of calls and requests, by the names of the snapshot's fields."""
    tries = await _tries(session, taken.id)
    is_open = bool(tries) and tries[-1].status != CallStatus.SUCCEEDED
    failures = count_failures(
        [t.error_kind for t in tries if is_open and t.status == CallStatus.FAILED]
    )
    return {
        "turn": tries[-1].turn if tries else 0,
        "tries": len(tries) if is_open else 0,
        "failures_in_a_row": failures.in_a_row,
        "spend_limit_failures": failures.at_spend_limit,
        "tool_calls": await _open_tool_calls(session, taken.id, transcript),
        "open_requests": await _open_requests(session, taken.id),
    }


async def _tries(session: AsyncSession, execution_id: UUID) -> Sequence[Any]:
    """The attempts of the last turn's call, oldest first."""
    live = (ModelCallRow.execution_id == execution_id, ModelCallRow.superseded_at.is_(None))
    last = (
        select(ModelCallRow.turn).where(*live).order_by(ModelCallRow.turn.desc()).limit(1)
    ).scalar_subquery()
    result = await session.execute(
        select(ModelCallRow.turn, ModelCallRow.status, ModelCallRow.error_kind)
        .where(*live, ModelCallRow.turn == last)
        .order_by(ModelCallRow.try_number)
    )
    return result.all()


async def _open_tool_calls(
    session: AsyncSession, execution_id: UUID, transcript: Sequence[StoredMessage]
) -> Sequence[ToolCall]:
    """The last turn's calls, if the transcript ends with that turn."""
    if not transcript or transcript[-1].role != "assistant":
        return ()
    live = (ToolCallRow.execution_id == execution_id, ToolCallRow.superseded_at.is_(None))
    last = (
        select(ModelCallRow.turn)
        .where(
            ModelCallRow.execution_id == execution_id,
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
    return read_as(
        ToolCall,
        row,
        effect=ToolEffect(row.effect),
        status=ToolCallStatus(row.status),
        process=process,
        connections=read_connections(row.connections),
        child_execution_ids=tuple(row.child_execution_ids),
    )


async def _open_requests(session: AsyncSession, execution_id: UUID) -> Sequence[OpenRequest]:
    rows = await session.scalars(
        select(InputRequestRow).where(
            InputRequestRow.execution_id == execution_id,
            or_(InputRequestRow.status == "open", InputRequestRow.held_rule.is_not(None)),
        )
    )
    return [open_request(r) for r in rows]


def open_request(row: InputRequestRow) -> OpenRequest:
    """The request as the loop sees it."""
    kind = RequestKind(row.kind)
    if row.held_rule is not None:  # its answer takes effect later, and then no due time counts
        return read_as(OpenRequest, row, kind=kind, due_at=None, answer=None)
    return read_as(OpenRequest, row, kind=kind)
