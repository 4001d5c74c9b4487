"""Reading where the record stands, so that an attempt can continue there."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import Result, Row, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.definitions import TaskDefinition
from domain.errors import (
    ErrorCode,
    ExecutionTerminalError,
    FencedOutError,
    WorkspaceElsewhereError,
)
from domain.limits import DEFAULT_MAX_TURNS, Limits
from domain.model_calls import Prefix
from domain.people import HumanInputPolicy
from domain.permissions import Permissions
from domain.states import ExecutionStatus
from domain.steps import (
    CallStatus,
    Failure,
    OpenRequest,
    RequestKind,
    Snapshot,
    StoredMessage,
    ToolCall,
    ToolCallStatus,
)
from domain.tool_calls import ProcessIdentity, ToolEffect
from persistence.db.database import Database
from persistence.executions import fencing
from persistence.sessions import lineage
from persistence.tables.executions import ExecutionRow
from persistence.tables.input_requests import InputRequestRow
from persistence.tables.model_calls import ModelCallRow
from persistence.tables.sessions import SessionRow
from persistence.tables.tasks import TaskVersionRow
from persistence.tables.tool_calls import ToolCallRow


async def definition_of(session: AsyncSession, row: ExecutionRow) -> dict[str, Any]:
    """The raw definition an execution pins: its task's version, or its own."""
    if row.definition is not None:
        return row.definition
    version = await session.get_one(TaskVersionRow, (row.task_id, row.task_version))
    return version.definition


TAKE = text(f"""
WITH homeless AS (
    SELECT s.id FROM executions e JOIN sessions s ON s.id = e.session_id
        JOIN prefixes p ON p.sha256 = e.prefix_sha256
    WHERE e.id = :execution_id AND s.workspace_host_id IS NULL
        AND CAST(p.body AS json) #> '{{tools,0}}' IS NOT NULL
    FOR NO KEY UPDATE OF s
),
before AS (
    SELECT id, epoch, segment FROM executions
    WHERE id = :execution_id AND (SELECT count(*) FROM homeless) >= 0 FOR NO KEY UPDATE
),
taken AS (
    UPDATE executions SET
        segment = :segment, attempt = :attempt,
        stalled_attempts = CASE WHEN :attempt > 1 THEN stalled_attempts + 1 ELSE 0 END
    WHERE id = (SELECT id FROM before) AND {fencing.HOLDS} AND NOT EXISTS (
        SELECT FROM sessions s
        WHERE s.id = executions.session_id AND s.workspace_host_id <> :host_id
    )
    RETURNING *
),
claimed AS (
    UPDATE sessions SET workspace_host_id = :host_id
    FROM taken JOIN homeless ON homeless.id = taken.session_id
    WHERE sessions.id = homeless.id
)
SELECT taken.id, taken.user_id, taken.session_id, taken.title, taken.status, taken.status_reason,
    taken.depth, taken.priority, taken.prefix_sha256, taken.deadline_at, taken.budget_usd,
    taken.running_ms, taken.stalled_attempts, taken.cost_usd, taken.epoch, taken.segment,
    taken.attempt, taken.error_code, taken.error_message,
    taken.pause_requested_at IS NOT NULL AS is_pause_requested, s.forked_from_session_id,
    (before.epoch, before.segment) = (0, 0) AS is_first,
    coalesce(taken.definition, v.definition) AS definition, p.body AS prefix,
    EXISTS (
        SELECT FROM tasks t WHERE t.id = taken.task_id AND t.user_id <> taken.user_id
    ) AS is_of_others,
    EXISTS (
        SELECT FROM signals o WHERE o.execution_id = taken.id AND o.consumed_at IS NULL
    ) AS has_unread
FROM taken JOIN before USING (id)
    JOIN prefixes p ON p.sha256 = taken.prefix_sha256
    JOIN sessions s ON s.id = taken.session_id
    LEFT JOIN task_versions v ON v.task_id = taken.task_id AND v.version = taken.task_version
""")  # noqa: S608 - a constant of ours
"""Makes the caller the one writer and reads what the execution pins, in one round trip.

`is_first`: nobody has moved it yet. The workspace becomes this host's where a tool needs one and no
host has it; the session is locked before the execution then (`locks`). No row: fenced out, ended,
of an unknown run, or with its workspace elsewhere.
"""


async def take(
    database: Database, execution_id: UUID, run: fencing.RunIdentity, *, host_id: UUID
) -> SimpleNamespace:
    """The row of `TAKE`.

    Raises:
        FencedOutError: a newer attempt was here.
        ExecutionTerminalError: it has ended.
        WorkspaceElsewhereError: the session's workspace is on another host.
    """
    parameters = {**run.token(), "execution_id": execution_id, "host_id": host_id}
    taken = await database.raw.run(TAKE, parameters)
    if taken is None:
        async with database.transaction() as session:
            await _let_in(session, execution_id, run, host_id)
        taken = await database.raw.run(TAKE, parameters)
    if taken is None:
        raise FencedOutError("Another attempt moves this execution.")
    return taken


async def _let_in(
    session: AsyncSession, execution_id: UUID, run: fencing.RunIdentity, host_id: UUID
) -> None:
    """Admit a run that was not here before, or say why the execution can't be had."""
    row = await fencing.locked_for(session, execution_id, run)
    await fencing.admit(session, row, run)
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"The execution is {row.status}.")
    holder = await session.scalar(
        select(SessionRow.workspace_host_id).where(SessionRow.id == row.session_id)
    )
    if holder not in (None, host_id):
        raise WorkspaceElsewhereError(f"The workspace is on host {holder}; this is {host_id}.")


def _untold(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """A public task's definition in somebody else's run, without whom its owner has told or asked.

    What the run asks, and what its tools do, is for who runs it; its subtasks take over the rest.
    """
    policy = {k: v for k, v in definition.get("human_input_policy", {}).items() if k != "assignee"}
    return {**definition, "human_input_policy": policy, "notification_config": None}


async def load(database: Database, taken: SimpleNamespace) -> Snapshot:
    """Everything the loop needs, of an execution that was just taken."""
    raw = _untold(taken.definition) if taken.is_of_others else taken.definition
    definition = TaskDefinition.model_validate(raw)
    transcript = await _transcript(database, taken)
    standing = _NOTHING_YET
    if not taken.is_first:
        async with database.transaction() as session:
            standing = await _standing(session, taken, transcript)
    return Snapshot(
        execution_id=taken.id,
        session_id=taken.session_id,
        forked_from_session_id=taken.forked_from_session_id,
        title=taken.title,
        status=ExecutionStatus(taken.status),
        status_reason=taken.status_reason,
        depth=taken.depth,
        prefix=Prefix(**json.loads(taken.prefix)),
        prefix_sha256=taken.prefix_sha256,
        permissions=permissions_of(definition),
        limits=_limits(taken, definition),
        people=HumanInputPolicy(**definition.human_input_policy.model_dump()),
        definition=raw,
        transcript=transcript,
        foreign_executions=await _foreign_executions(database, taken, transcript),
        running_ms=taken.running_ms,
        stalled_attempts=taken.stalled_attempts,
        has_unread=taken.has_unread,
        is_pause_requested=taken.is_pause_requested,
        failure=_failure(taken),
        cost_usd=taken.cost_usd + standing["lost_usd"],
        **{name: value for name, value in standing.items() if name != "lost_usd"},
    )


async def _transcript(database: Database, taken: SimpleNamespace) -> Sequence[StoredMessage]:
    """The session's messages; those of a fork are partly another session's."""
    if taken.forked_from_session_id is None:
        found = await database.raw.rows(TRANSCRIPT, {"session_id": taken.session_id})
    else:
        found = await lineage.transcript(database, taken.session_id)
    return [StoredMessage(**vars(message)) for message in found]


STRANGERS = text("""
SELECT id FROM executions
WHERE id = ANY(CAST(:ids AS uuid[])) AND prefix_sha256 IS DISTINCT FROM :prefix_sha256
""")


async def _foreign_executions(
    database: Database, taken: SimpleNamespace, transcript: Sequence[StoredMessage]
) -> frozenset[UUID]:
    """Who spoke before this execution and ran on another prefix; mostly there is nobody."""
    others = {message.execution_id for message in transcript} - {taken.id}
    if not others:
        return frozenset()
    parameters = {"ids": list(others), "prefix_sha256": taken.prefix_sha256}
    return frozenset(row.id for row in await database.raw.rows(STRANGERS, parameters))


def _failure(taken: SimpleNamespace) -> Failure | None:
    """The failure that the attempt before this one wrote and did not live to report."""
    if taken.error_code is None:
        return None
    return Failure(ErrorCode(taken.error_code), taken.error_message or "")


def permissions_of(definition: TaskDefinition) -> Permissions:
    """The definition's rules for tools."""
    return Permissions(
        allowed=definition.allowed_tools,
        ask=definition.ask_tools,
        disallowed=definition.disallowed_tools,
        mode=definition.sdk_options.permission_mode,
    )


def _limits(taken: SimpleNamespace, definition: TaskDefinition) -> Limits:
    options = definition.sdk_options
    return Limits(
        max_turns=options.max_turns or DEFAULT_MAX_TURNS,
        timeout_seconds=options.timeout_seconds,
        deadline_at=taken.deadline_at,
        budget_usd=taken.budget_usd if taken.budget_usd is not None else options.max_budget_usd,
        segment_turns=options.segment_turns,
    )


TRANSCRIPT = text("""
SELECT seq, role, content, execution_id, stop_reason FROM messages
WHERE session_id = :session_id AND superseded_at IS NULL
ORDER BY seq
""")


_NOTHING_YET: Mapping[str, Any] = {
    "turn": 0,
    "tries": 0,
    "failures_in_a_row": 0,
    "lost_intent_sha256": None,
    "lost_usd": Decimal(0),
}


async def _standing(
    session: AsyncSession, taken: SimpleNamespace, transcript: Sequence[StoredMessage]
) -> Mapping[str, Any]:
    """Where calls and requests stand, by the names of the snapshot's fields."""
    lost = await _lost_call(session, taken.id)
    tries = await _tries(session, taken.id)
    is_open = bool(tries) and tries[-1].status != CallStatus.SUCCEEDED
    failed = [t for t in tries if t.status == CallStatus.FAILED]
    return {
        "turn": tries[-1].turn if tries else 0,
        "tries": len(tries) if is_open else 0,
        "failures_in_a_row": len(failed) if is_open else 0,
        # A call that a reset set aside is charged too, but nobody repeats it.
        "lost_intent_sha256": lost.request_sha256 if lost and not lost.superseded_at else None,
        "lost_usd": (lost.cost_usd if lost is not None else None) or Decimal(0),
        "tool_calls": await _open_tool_calls(session, taken.id, transcript),
        "open_requests": await _open_requests(session, taken.id),
    }


async def _lost_call(session: AsyncSession, execution_id: UUID) -> Row[Any] | None:
    """The call that a crash took, if one did; it is charged at its estimate here."""
    intended = (
        ModelCallRow.execution_id == execution_id,
        ModelCallRow.status == CallStatus.INTENDED,
    )
    if await session.scalar(select(ModelCallRow.id).where(*intended)) is None:
        return None
    row = await fencing.locked(session, execution_id)
    result: Result[Any] = await session.execute(
        update(ModelCallRow)
        .where(*intended)
        .values(status=CallStatus.LOST, cost_usd=ModelCallRow.estimate_usd, usage_estimated=True)
        .returning(ModelCallRow.cost_usd, ModelCallRow.request_sha256, ModelCallRow.superseded_at)
    )
    lost = result.one_or_none()
    if lost is not None:
        row.cost_usd += lost.cost_usd or Decimal(0)
        await session.flush()
    return lost


async def _tries(session: AsyncSession, execution_id: UUID) -> Sequence[Any]:
    """The tries of the last turn, oldest first."""
    live = (ModelCallRow.execution_id == execution_id, ModelCallRow.superseded_at.is_(None))
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
    session: AsyncSession, execution_id: UUID, transcript: Sequence[StoredMessage]
) -> Sequence[ToolCall]:
    """The last turn's calls, while the transcript ends with the turn that made them."""
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


async def _open_requests(session: AsyncSession, execution_id: UUID) -> Sequence[OpenRequest]:
    rows = await session.scalars(
        select(InputRequestRow).where(
            InputRequestRow.execution_id == execution_id, InputRequestRow.status == "open"
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
