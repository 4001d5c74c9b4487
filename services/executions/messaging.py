"""What is said to executions and conversations: it steers what runs, or goes on from what ended."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.schemas import RetryBody
from api.http.request_context import Call
from api.sessions.schemas import SessionWork
from domain.agents import Agent
from domain.errors import (
    ConflictError,
    ExecutionActiveError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    TaskInactiveError,
)
from domain.limits import MAX_DEPTH
from domain.states import ExecutionStatus
from persistence.db import locks
from persistence.definitions import agents, tasks
from persistence.executions import queries
from persistence.executions.creation import Start, Work
from persistence.executions.signals import SignalKind, append_signal
from persistence.ledger import audit
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from services.definitions import inline_work
from services.executions.starting import Started, start, trigger_type


async def send_message_to_execution(
    session: AsyncSession, call: Call, execution_id: UUID, content: str
) -> Started:
    """Steer an execution, or let a new one in its session answer where it has ended.

    Raises:
        NotFoundError: its session is deleted.
    """
    await locks.lock_session_of(session, execution_id)
    row = await queries.lock(session, execution_id)
    if row is None:
        raise NotFoundError(f"There is no execution {execution_id}.")
    call.require_own(row.user_id, "execution")
    if _listens(row):
        return await _steer(session, call, row, content)
    work = await inline_work.follow_up(session, row, content)
    wanted = turn(call, work, content, user_id=row.user_id, session_id=row.session_id)
    return await start(session, call.gateway, wanted)


async def send_message_to_session(
    session: AsyncSession, call: Call, conversation: SessionRow, content: str
) -> Started:
    """Steer what runs or waits last in a locked conversation, or take its next turn.

    Two who speak at once in an idle one both get a turn, one after the other.

    Raises:
        NotFoundError: its agent is no more.
    """
    row = await queries.lock_last_of_session(session, conversation.id)
    if row is not None and _listens(row):
        return await _steer(session, call, row, content)
    if conversation.is_interactive or row is None:
        agent = await agent_of(session, conversation.user_id, conversation.agent_id)
        work = inline_work.work_of_agent(agent, conversation.sdk_options, content)
    else:
        work = await inline_work.follow_up(session, row, content)
    wanted = turn(call, work, content, user_id=conversation.user_id, session_id=conversation.id)
    return await start(session, call.gateway, wanted)


async def start_session_work(
    session: AsyncSession, call: Call, conversation: SessionRow, body: SessionWork
) -> Started:
    """Let an agent work in a conversation, as a part of an execution there if one is named.

    Raises:
        NotFoundError: there is no such agent.
        InvalidInputError: its work is for others, or the parent is not of this conversation.
    """
    agent = await agent_of(session, conversation.user_id, body.agent_id)
    parent = None
    if body.parent_task_id is not None:
        parent = await _parent(session, conversation, body.parent_task_id)
    work = inline_work.work_of_agent(agent, conversation.sdk_options, body.input)
    wanted = turn(
        call,
        work,
        body.input,
        user_id=conversation.user_id,
        session_id=conversation.id,
        parent=parent,
    )
    return await start(session, call.gateway, wanted)


async def _parent(
    session: AsyncSession, conversation: SessionRow, execution_id: UUID
) -> ExecutionRow:
    parent = await queries.find(session, execution_id)
    if parent is None or parent.session_id != conversation.id:
        hint = "Name an execution of this session, or leave it out."
    elif parent.depth >= MAX_DEPTH:
        hint = f"Work may be nested {MAX_DEPTH} levels deep; this would be deeper."
    else:
        return parent
    problem = FieldProblem(("body", "parent_task_id"), hint)
    raise InvalidInputError("The parent does not fit; see errors.", [problem])


def turn(call: Call, work: Work, content: str, **more: Any) -> Start:
    """An execution whose prompt is what somebody says; `more` are fields of `Start`."""
    given = {"action": "execution.create", "variables": {inline_work.MESSAGE: content}, **more}
    return Start(work=work, actor=call.actor, trigger_type=trigger_type(call), **given)


async def retry_of(session: AsyncSession, call: Call, row: ExecutionRow, body: RetryBody) -> Start:
    """The same once more, in a session of its own.

    Raises:
        ExecutionActiveError: it has not ended.
        ConflictError: its task is switched off or deleted.
        PermissionDeniedError: its task is shared no longer.
    """
    if not ExecutionStatus(row.status).is_terminal:
        raise ExecutionActiveError(f"This execution is {row.status}; cancel it first.")
    if row.task_id is not None:
        await require_runnable(session, row.task_id, row.user_id)
    return Start(
        work=await inline_work.same_work(session, row),
        user_id=row.user_id,
        actor=call.actor,
        trigger_type="retry",
        action="execution.retry",
        variables=row.prompt_variables if body.variables is None else body.variables,
        trigger_metadata=row.trigger_metadata,
        priority=row.priority,
        budget_usd=body.max_budget_usd or row.budget_usd,
        retry_of_id=row.id,
    )


async def agent_of(session: AsyncSession, user_id: UUID, slug: str | None) -> Agent | None:
    """The agent of a conversation, if it has one.

    Raises:
        NotFoundError: there is none of this name, or none any more.
    """
    if slug is None:
        return None
    agent = await agents.find(session, user_id, slug)
    if agent is None:
        raise NotFoundError(f"There is no agent {slug!r}; /agents lists them.")
    return agent


def _listens(row: ExecutionRow) -> bool:
    return not ExecutionStatus(row.status).is_terminal and row.cancel_requested_at is None


async def _steer(session: AsyncSession, call: Call, row: ExecutionRow, content: str) -> Started:
    await append_signal(session, row.id, SignalKind.MESSAGE, {"content": content})
    after = {"characters": len(content)}
    entity, owner = ("execution", row.id), row.user_id
    action = "execution.message"
    await audit.record(session, call.actor, action, entity, after=after, owner_id=owner)
    return Started(row, None, is_said=True)


async def require_runnable(session: AsyncSession, task_id: UUID, user_id: UUID) -> None:
    """Let an execution of this user's come again only while its task may be executed by them.

    Raises:
        ConflictError: the task is switched off or deleted.
        PermissionDeniedError: it is shared no longer.
    """
    task = await tasks.find(session, task_id)
    if task is None:
        raise ConflictError("The task of this execution is deleted, so it can't run again.")
    if not task.row.is_active:
        raise TaskInactiveError("The task is switched off; set is_active to run it again.")
    if task.row.user_id != user_id and not task.row.is_public:
        raise PermissionDeniedError("The task of this execution is no longer shared.")
