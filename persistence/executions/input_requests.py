"""Input requests: reads and lists them, and stores an answer once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import AlreadyAnsweredError
from domain.executions.events import Event
from domain.executions.signals import SignalKind
from domain.people.requests import EXPIRING, GROUP, RequestKind
from domain.text import clean
from persistence.db.paging import Filters, Page, Window, matching, newest
from persistence.db.raw_connection import Connected, fetch_rows
from persistence.executions import events
from persistence.executions.queries import select_line, select_tree
from persistence.executions.signals import append_signal
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from persistence.tables.people import GroupRow, MentionRow
from persistence.tables.sessions import InputRequestRow, MessageRow, ToolCallRow


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a person needs to know about a request beside the request itself.

    `effect` is the effect class of its tool call. `explanation` is the content of the message in
    which the model made the call, as JSON text.
    """

    execution_title: str
    execution_status: str
    workflow_id: str
    cost_usd: Decimal
    budget_usd: Decimal | None
    is_scripted: bool
    task_id: UUID | None
    total_turns: int
    started_at: datetime | None
    completed_at: datetime | None
    owner: str
    answered_by: str | None
    effect: str | None = None
    explanation: str | None = None


async def load_context(session: AsyncSession, row: InputRequestRow) -> RequestContext:
    """The context of a request."""
    execution = ExecutionRow
    answerer = select(UserRow.subject).where(UserRow.id == row.answered_by).scalar_subquery()
    effect = select(ToolCallRow.effect).where(ToolCallRow.id == row.tool_call_id).scalar_subquery()
    message = select(MessageRow.content).where(
        MessageRow.execution_id == row.execution_id,
        MessageRow.role == "assistant",
        MessageRow.superseded_at.is_(None),
        MessageRow.created_at <= row.created_at,
    )
    explanation = message.order_by(MessageRow.seq.desc()).limit(1).scalar_subquery()
    found = await session.execute(
        select(
            execution.title,
            execution.status,
            execution.workflow_id,
            execution.cost_usd,
            execution.budget_usd,
            execution.is_scripted,
            execution.task_id,
            execution.total_turns,
            execution.started_at,
            execution.completed_at,
            UserRow.subject,
            answerer,
            effect,
            explanation,
        )
        .join(UserRow, UserRow.id == execution.user_id)
        .where(execution.id == row.execution_id)
    )
    values: Sequence[Any] = found.one()
    return RequestContext(*values)


@dataclass(frozen=True, slots=True)
class CallLikeness:
    """What alike calls have in common. Without a task, only calls of one execution are alike."""

    work_id: UUID
    tool_name: str | None
    effect: str | None
    reach_sha256: bytes | None


async def find_likeness(session: AsyncSession, row: InputRequestRow) -> CallLikeness:
    """What the call of a request has in common with alike ones."""
    effect = select(ToolCallRow.effect).where(ToolCallRow.id == row.tool_call_id).scalar_subquery()
    found = await session.execute(
        select(ExecutionRow.task_id, effect).where(ExecutionRow.id == row.execution_id)
    )
    task_id, effect_class = found.one()
    work_id = task_id or row.execution_id
    return CallLikeness(work_id, row.tool_name, effect_class, row.reach_sha256)


COLUMN_TYPES = {column.name: column.type for column in InputRequestRow.__table__.columns}
"""The columns of a request, for statements as text that return one."""

_FIND = select(*InputRequestRow.__table__.columns).where(InputRequestRow.id == bindparam("id"))


async def find(on: Connected, request_id: UUID) -> InputRequestRow | None:
    """The request, read without a lock; it belongs to no session, so lock it before a change."""
    found = await fetch_rows(on, _FIND, {"id": request_id})
    return make_row(found[0]) if found else None


def make_row(columns: object) -> InputRequestRow:
    """The request with these columns; it belongs to no session."""
    return InputRequestRow(**{name: getattr(columns, name) for name in COLUMN_TYPES})


async def list_open(
    session: AsyncSession, execution_id: UUID
) -> Sequence[Row[InputRequestRow, str]]:
    """The open requests of an execution and its subtasks, with the titles of their executions.

    Oldest first, without those that are past due.
    """
    is_due = and_(
        InputRequestRow.due_at <= datetime.now(UTC), InputRequestRow.on_expiry.in_(EXPIRING)
    )
    rows = await session.execute(
        select(InputRequestRow, ExecutionRow.title)
        .join(ExecutionRow, ExecutionRow.id == InputRequestRow.execution_id)
        .where(
            InputRequestRow.execution_id.in_(select_tree(execution_id)),
            InputRequestRow.status == "open",
            is_due.is_not(true()),
        )
        .order_by(InputRequestRow.id)
    )
    return rows.all()


async def list_answered(
    session: AsyncSession, execution_id: UUID, *, limit: int
) -> Sequence[Row[InputRequestRow, str]]:
    """The latest answered requests of an execution and its subtasks, with who answered.

    Oldest first.
    """
    rows = await session.execute(
        select(InputRequestRow, UserRow.subject)
        .join(UserRow, UserRow.id == InputRequestRow.answered_by)
        .where(
            InputRequestRow.execution_id.in_(select_tree(execution_id)),
            InputRequestRow.status == "answered",
        )
        .order_by(InputRequestRow.answered_at.desc())
        .limit(limit)
    )
    return rows.all()[::-1]


async def is_in_tree(session: AsyncSession, row: InputRequestRow, execution_id: UUID) -> bool:
    """Whether a request belongs to an execution or to one of its subtasks."""
    is_one = literal(row.execution_id).in_(select_tree(execution_id))
    return bool(await session.scalar(select(is_one)))


async def is_mentioned(session: AsyncSession, request_id: UUID, assignees: Sequence[str]) -> bool:
    """Whether a comment of the request mentions one of these users and groups."""
    found = select(MentionRow.input_request_id).where(
        MentionRow.input_request_id == request_id, MentionRow.assignee.in_(assignees)
    )
    return await session.scalar(found.limit(1)) is not None


async def find_mentionable(session: AsyncSession, names: Sequence[str]) -> Sequence[str]:
    """Those of the names that are a user's subject, or `group:` and a group's name."""
    if not names:
        return ()
    groups = [name.removeprefix(GROUP) for name in names if name.startswith(GROUP)]
    users = await session.scalars(select(UserRow.subject).where(UserRow.subject.in_(names)))
    known = await session.scalars(select(GroupRow.name).where(GroupRow.name.in_(groups)))
    found = {*users, *(f"{GROUP}{name}" for name in known)}
    return [name for name in names if name in found]


async def has_assigned(session: AsyncSession, execution_id: UUID, assignees: Sequence[str]) -> bool:
    """Whether a request of the execution, open or not, is assigned to one of these.

    Or one of an execution that it is a subtask of.
    """
    found = select(InputRequestRow.id).where(
        InputRequestRow.execution_id.in_(select_line(execution_id)),
        InputRequestRow.assignee.in_(assignees),
    )
    return await session.scalar(found.limit(1)) is not None


async def page(
    session: AsyncSession,
    user_id: UUID | None,
    filters: Filters,
    window: Window,
    *,
    assignees: Sequence[str],
) -> Page[InputRequestRow]:
    """The requests of the user's executions, and other users' that are assigned to one of these.

    Without a user, those of all users.

    Each assignee is a branch of its own, which an index serves in order.
    """
    conditions = matching(InputRequestRow, filters)
    if user_id is None:
        every = [and_(true(), *conditions)]
        return await newest(session, InputRequestRow, InputRequestRow.id, every, window)
    own = and_(InputRequestRow.user_id == user_id, *conditions)
    assigned = [
        and_(InputRequestRow.assignee == name, InputRequestRow.user_id != user_id, *conditions)
        for name in assignees
    ]
    return await newest(session, InputRequestRow, InputRequestRow.id, [own, *assigned], window)


async def page_mentioned(
    session: AsyncSession, filters: Filters, window: Window, *, assignees: Sequence[str]
) -> Page[InputRequestRow]:
    """The requests in whose comments one of these users and groups is mentioned."""
    mentioned = select(MentionRow.input_request_id).where(MentionRow.assignee.in_(assignees))
    condition = and_(InputRequestRow.id.in_(mentioned), *matching(InputRequestRow, filters))
    return await newest(session, InputRequestRow, InputRequestRow.id, [condition], window)


async def lock_open(
    session: AsyncSession, request_id: UUID
) -> tuple[ExecutionRow, InputRequestRow]:
    """Lock the execution of an open request, then the request.

    Raises:
        AlreadyAnsweredError: it is answered or expired, or its execution has ended.
    """
    both = select(ExecutionRow, InputRequestRow).where(
        InputRequestRow.id == request_id, ExecutionRow.id == InputRequestRow.execution_id
    )
    in_order = both.with_for_update(key_share=True, of=(ExecutionRow, InputRequestRow))
    found = await session.execute(in_order.execution_options(populate_existing=True))
    execution, row = found.one()
    if row.status != "open" or execution.completed_at is not None:
        raise AlreadyAnsweredError(f"This request is {row.status}; it takes no answer any more.")
    if row.due_at and row.due_at <= datetime.now(UTC) and row.on_expiry in EXPIRING:
        raise AlreadyAnsweredError("This request was due and takes no answer any more.")
    return execution, row


async def lock(session: AsyncSession, request_id: UUID) -> InputRequestRow:
    """Lock a request, whether it is open or not."""
    return await session.get_one(
        InputRequestRow, request_id, with_for_update=True, populate_existing=True
    )


async def add_comment(
    session: AsyncSession,
    row: InputRequestRow,
    *,
    comment_id: UUID,
    user_id: UUID,
    author: str,
    body: str,
    mentions: Sequence[str] = (),
) -> None:
    """Append a comment to a locked request; those it mentions can read the request from now on."""
    for name in mentions:
        await session.merge(MentionRow(assignee=name, input_request_id=row.id))
    made = {
        "mentions": list(mentions),
        "id": str(comment_id),
        "user_id": str(user_id),
        "author": author,
        "body": clean(body),
        "created_at": datetime.now(UTC).isoformat(),
    }
    row.comments = [*row.comments, made]
    await session.flush()


async def open_request(session: AsyncSession, row: InputRequestRow) -> None:
    """Store a new request of a locked execution that no model made."""
    session.add(row)
    await session.flush()
    data = {"input_request_id": str(row.id), "kind": row.kind, "title": row.title}
    await events.append(session, row.execution_id, Event("input.requested", data))


async def cancel_open(session: AsyncSession, execution_id: UUID) -> None:
    """Cancel the open requests of a locked execution: others take their place."""
    await session.execute(
        update(InputRequestRow)
        .where(InputRequestRow.execution_id == execution_id, InputRequestRow.status == "open")
        .values(status="cancelled")
    )


async def find_newest(
    session: AsyncSession, execution_id: UUID, kind: RequestKind
) -> InputRequestRow | None:
    """The newest request of this kind of an execution."""
    found: InputRequestRow | None = await session.scalar(
        select(InputRequestRow)
        .where(InputRequestRow.execution_id == execution_id, InputRequestRow.kind == kind)
        .order_by(InputRequestRow.id.desc())
        .limit(1)
    )
    return found


async def hold(
    session: AsyncSession,
    row: InputRequestRow,
    given: Mapping[str, Any],
    *,
    by: UUID,
    effective_at: datetime,
    rule: Mapping[str, Any],
) -> None:
    """Store the answer to a locked open request, which takes effect later."""
    _store(row, given, by)
    row.effective_at, row.held_rule = effective_at, dict(rule)
    await session.flush()


async def reopen(session: AsyncSession, row: InputRequestRow) -> None:
    """Remove the answer of a locked request, which has had no effect, and wake its execution.

    The execution may have passed the due time meanwhile.
    """
    row.status, row.answer, row.answered_by, row.answered_at = "open", None, None, None
    row.effective_at = row.held_rule = None
    await session.flush()
    data = {"input_request_id": str(row.id)}
    await append_signal(session, row.execution_id, SignalKind.REQUEST_CHANGED, data)


def _store(row: InputRequestRow, given: Mapping[str, Any], by: UUID) -> None:
    row.status, row.answer = "answered", dict(given)
    row.answered_by, row.answered_at = by, datetime.now(UTC)


async def answer(
    session: AsyncSession, row: InputRequestRow, given: Mapping[str, Any], *, by: UUID
) -> None:
    """Store the answer to a locked open request, and signal its execution."""
    _store(row, given, by)
    await take_effect(session, row)


async def take_effect(session: AsyncSession, row: InputRequestRow) -> None:
    """Signal the execution of a locked request that it is answered."""
    given: Mapping[str, Any] = row.answer or {}
    row.held_rule = None
    await session.flush()
    event, payload = make_answered_event(row, given), {"input_request_id": str(row.id)}
    await append_signal(session, row.execution_id, SignalKind.ANSWER, payload, event=event)


def make_answered_event(row: InputRequestRow, given: Mapping[str, Any]) -> Event:
    """The event of an answer."""
    data = {"input_request_id": str(row.id), "kind": row.kind, "decision": given.get("decision")}
    return Event("input.answered", data)


async def dismiss(session: AsyncSession, row: InputRequestRow, problem: str | None) -> None:
    """Record that a client returned no valid answer to a locked open request."""
    row.dismissals += 1
    row.answer_problem = problem
    await session.flush()
