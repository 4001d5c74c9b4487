"""Reads what a caller may use, and refuses the rest."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ExecutionTerminalError, InvalidInputError, ScopeMissingError
from domain.executions.states import ExecutionStatus
from domain.ids import is_id
from domain.people.requests import QUESTIONS, RequestKind
from domain.scopes import Scope
from persistence.db.raw_connection import Connected
from persistence.definitions import tasks
from persistence.definitions.tasks import StoredTask
from persistence.executions import input_requests, queries
from persistence.sessions import sessions
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow, SessionRow
from services.caller import Caller, missing
from services.validation_messages import body_problem


async def get_own_execution(
    session: AsyncSession, caller: Caller, execution_id: UUID, *, lock: bool = False
) -> ExecutionRow:
    """Return an execution of the caller; `lock` locks its row until the transaction ends."""
    row = caller.own(await queries.find(session, execution_id), "execution", execution_id)
    return await queries.lock_existing(session, execution_id) if lock else row


async def get_readable_execution(
    session: AsyncSession, caller: Caller, execution_id: UUID
) -> ExecutionRow:
    """Return an execution that the caller may read (`may_read`)."""
    row = await queries.find(session, execution_id)
    if row is None:
        raise missing("execution", execution_id)
    if not await may_read(session, caller, row.user_id, execution_id):
        raise caller.not_owned("execution", execution_id)
    return row


async def may_read(
    session: AsyncSession, caller: Caller, owner_id: UUID, execution_id: UUID
) -> bool:
    """Whether the caller owns an execution, or one of its input requests is assigned to the caller.

    The assignee also reads the subtasks of that execution: its result depends on them. For an
    agent's tool, an execution of another user does not exist in any case.
    """
    if caller.owns(owner_id):
        return True
    return not caller.is_agent and await input_requests.has_assigned(
        session, execution_id, caller.assignees
    )


def require_active(row: ExecutionRow) -> None:
    """Refuse an execution that has ended.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    if ExecutionStatus(row.status).is_terminal:
        raise ExecutionTerminalError(f"This execution is already {row.status}.")


async def get_own_session(
    session: AsyncSession, caller: Caller, session_id: UUID, *, lock: bool = False
) -> SessionRow:
    """Return a session of the caller; `lock` locks its row until the transaction ends."""
    read = sessions.lock if lock else sessions.find
    return caller.own(await read(session, session_id), "session", session_id)


async def get_readable_task(on: Connected, caller: Caller, task_id: UUID) -> StoredTask:
    """Return a task of the caller, or a public one; it is not to be changed."""
    stored = await tasks.read(on, task_id)
    if stored is None:
        raise missing("task", task_id)
    if not stored.row.is_public:
        caller.require_own(stored.row.user_id, "task", task_id)
    return stored


async def get_named_task(session: AsyncSession, caller: Caller, name: str) -> StoredTask:
    """Return the readable task with this id or name; the caller's own goes before public ones.

    Raises:
        InvalidInputError: several public tasks have this name.
    """
    if is_id(name):
        return await get_readable_task(session, caller, UUID(name))
    found = await tasks.find_by_name(session, caller.user_id, name)
    if not found:
        raise missing("task", repr(name))
    if len(found) > 1:
        ids = ", ".join(str(task.row.id) for task in found)
        message = f"Several public tasks have this name; use one of these ids: {ids}."
        raise InvalidInputError(
            "The task is not clear; see errors.", [body_problem("task", message)]
        )
    return found[0]


async def get_own_task(
    session: AsyncSession, caller: Caller, task_id: UUID, *, lock: bool = True
) -> StoredTask:
    """Return a task of the caller; `lock` locks its row until the transaction ends."""
    stored = await tasks.find(session, task_id, lock=lock)
    if stored is None:
        raise missing("task", task_id)
    caller.require_own(stored.row.user_id, "task", task_id)
    return stored


async def get_answerable_request(
    on: Connected, caller: Caller, request_id: UUID
) -> InputRequestRow:
    """Return an input request of the caller's execution, or one assigned to the caller."""
    row = await input_requests.find(on, request_id)
    if row is None:
        raise missing("input request", request_id)
    require_answerable(caller, row)
    return row


async def get_readable_request(
    session: AsyncSession, caller: Caller, request_id: UUID
) -> InputRequestRow:
    """Return a request that the caller may answer, or that mentions the caller in a comment."""
    row = await input_requests.find(session, request_id)
    if row is None:
        raise missing("input request", request_id)
    if not await input_requests.is_mentioned(session, request_id, caller.assignees):
        require_answerable(caller, row)
    return row


def require_answerable(caller: Caller, row: InputRequestRow) -> None:
    """Refuse a request of another user that is not assigned to the caller or one of their groups.

    Check it again once the row is locked: it may have been assigned to another user meanwhile.
    """
    if not may_answer(caller, row):
        raise caller.not_owned("input request", row.id)


def require_scope_to_answer(caller: Caller, kind: RequestKind) -> None:
    """Refuse a decision with credentials that a model may have, unless they may approve.

    Those are an API key, and what an agent's tool uses. A token belongs to a person or to a program
    of the operator.

    Raises:
        ScopeMissingError: they lack the scope `approve`.
    """
    is_limited = caller.is_agent or caller.api_key_id is not None
    if kind not in QUESTIONS and is_limited and Scope.APPROVE not in caller.scopes:
        message = (
            f"These credentials lack the scope `approve` to decide this {kind} request; they can "
            "answer only questions and forms. Use a token, or an API key with this scope."
        )
        raise ScopeMissingError(message)


def may_answer(caller: Caller, row: InputRequestRow) -> bool:
    """Whether a request is one of the caller's executions, or assigned to the caller."""
    return row.assignee in caller.assignees or caller.owns(row.user_id)
