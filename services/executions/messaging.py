"""Messages: they steer a running execution, or start the next one in a session."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.agents.agent import Agent
from domain.agents.matching import choose_agent
from domain.errors import ConflictError, NotFoundError
from domain.executions.limits import MAX_DEPTH
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from domain.plans.plan import PLAN
from domain.text import as_text
from persistence.db import locks
from persistence.definitions import agents
from persistence.executions import queries
from persistence.executions.creation import Start, Work
from persistence.executions.signals import append_signal
from persistence.ledger import budgets
from persistence.sessions import sessions
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from services.caller import Caller
from services.definitions import inline_work
from services.executions.access import get_own_execution, get_own_session
from services.executions.inputs import MessageBody, SessionWork
from services.executions.retrying import require_runnable_task
from services.executions.starting import start_execution
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

OFFERED_AGENTS = 500
"""The newest agents of a user among which a first message chooses (chosen: takes milliseconds)."""


async def send_message(work: UnitOfWork, execution_id: UUID, body: MessageBody) -> ExecutionRow:
    """Send a message to an execution, or start a new one in its session if it has ended.

    Raises:
        ConflictError: it has ended and its task is inactive or deleted, or it is external and has
            not ended.
    """
    await locks.lock_session_of(work.session, execution_id)
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    if _reads_messages(row):
        return await _steer(work, row, body)
    if row.executor == PLAN:
        raise ConflictError("A plan reads no messages; send them to the executions of its steps.")
    if row.executor != "claude" and not ExecutionStatus(row.status).is_terminal:
        raise ConflictError(
            "A worker outside Perdure does this execution and reads no messages; cancel it, or "
            "send the message after its end."
        )
    return await _start_follow_up(work, row, body.content)


async def send_session_message(
    work: UnitOfWork, session_id: UUID, body: MessageBody
) -> ExecutionRow:
    """Send a message to the active execution of a session, or start the next turn.

    If two messages reach an idle session at the same time, each gets a turn, one after the other.
    """
    session = await get_own_session(work.session, work.caller, session_id, lock=True)
    last = await queries.lock_last_of_session(work.session, session.id)
    if last is not None and _reads_messages(last):
        return await _steer(work, last, body)
    if last is not None and not session.is_interactive:
        return await _start_follow_up(work, last, body.content)
    if session.is_interactive and session.agent_source is None:
        await _choose_agent(work, session, body.content)
    agent = await _find_agent(work.session, session, session.agent_id)
    start = _turn(
        work,
        inline_work.define_turn(agent, session.sdk_options, body.content),
        body.content,
        user_id=session.user_id,
        session_id=session.id,
    )
    return await start_execution(work, start)


async def _choose_agent(work: UnitOfWork, row: SessionRow, message: str) -> None:
    """Choose the agent of a locked conversation by its first message, and store why."""
    offered = await agents.list_conversational(work.session, row.user_id, limit=OFFERED_AGENTS)
    choice = choose_agent(message, offered)
    slug = choice.agent.slug if choice.agent else None
    reason = choice.reason
    await sessions.set_agent(work.session, row, slug, source="capabilities", reason=reason)
    await work.record_audit(
        "session.choose_agent",
        ("session", row.id),
        after={"agent_id": slug, "reason": reason},
        owner_id=row.user_id,
    )


async def start_session_work(work: UnitOfWork, session_id: UUID, body: SessionWork) -> ExecutionRow:
    """Start work of an agent in a session, as a part of the execution `parent_task_id` if given."""
    session, agent = await find_references(work.session, work.caller, session_id, body.agent_id)
    parent = None
    if body.parent_task_id is not None:
        parent = await _find_parent(work, session, body.parent_task_id)
    start = _turn(
        work,
        inline_work.define_turn(agent, session.sdk_options, as_text(body.input)),
        body.input,
        user_id=session.user_id,
        session_id=session.id,
        parent=parent,
    )
    return await start_execution(work, start)


async def find_references(
    session: AsyncSession, caller: Caller, session_id: UUID, agent_id: str | None
) -> tuple[SessionRow, Agent | None]:
    """Return the session and the agent of work in a session.

    Raises:
        NotFoundError: there is no such session, or no such agent.
    """
    row = await get_own_session(session, caller, session_id)
    return row, await _find_agent(session, row, agent_id)


def _reads_messages(row: ExecutionRow) -> bool:
    """Whether a message steers the execution; a worker outside Perdure reads none."""
    if row.executor != "claude":
        return False
    return not ExecutionStatus(row.status).is_terminal and row.cancel_requested_at is None


async def _steer(work: UnitOfWork, row: ExecutionRow, body: MessageBody) -> ExecutionRow:
    await append_signal(work.session, row.id, SignalKind.MESSAGE, {"content": body.content})
    if body.interrupt:
        await append_signal(work.session, row.id, SignalKind.INTERRUPT)
    await work.record_audit(
        "execution.message",
        ("execution", row.id),
        after={"characters": len(body.content), "interrupt": body.interrupt},
        owner_id=row.user_id,
    )
    work.wake_workflow(row.id, row.workflow_id)
    return row


async def _start_follow_up(work: UnitOfWork, last: ExecutionRow, content: str) -> ExecutionRow:
    """Start the next execution in the session of one that has ended, with its definition.

    Raises:
        ConflictError: its task is inactive or deleted.
    """
    await require_runnable_task(work, last)
    start = _turn(
        work,
        await inline_work.define_follow_up(work.session, last, content),
        content,
        user_id=last.user_id,
        session_id=last.session_id,
        budget_usd=await budgets.find_limit(work.session, last),
    )
    return await start_execution(work, start)


def _turn(
    work: UnitOfWork, turn_work: Work, content: str | Mapping[str, Any], **fields: Any
) -> Start:
    """Return a start whose prompt is the message; `fields` are fields of `Start`."""
    return Start(
        work=turn_work,
        actor=work.caller.actor,
        trigger_type=work.caller.trigger_type,
        action="execution.create",
        variables={inline_work.MESSAGE: content},
        **fields,
    )


async def _find_agent(session: AsyncSession, row: SessionRow, slug: str | None) -> Agent | None:
    if slug is None:
        return None
    agent = await agents.find(session, row.user_id, slug)
    if agent is None:
        raise NotFoundError(f"Agent {slug!r} does not exist; look in the list of agents.")
    return agent


async def _find_parent(work: UnitOfWork, session: SessionRow, execution_id: UUID) -> ExecutionRow:
    parent = await queries.find(work.session, execution_id)
    if parent is None or parent.session_id != session.id:
        hint = "Name an execution of this session, or leave it out."
    elif parent.depth >= MAX_DEPTH:
        hint = f"Work may be nested {MAX_DEPTH} levels deep; this would be deeper."
    else:
        return parent
    raise refuse_field("The parent does not fit; see errors.", "parent_task_id", hint)
