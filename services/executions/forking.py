"""Forks: a new execution that shares the transcript of another up to a turn."""

from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ConflictError, NotFoundError
from persistence.executions.creation import Start, Work
from persistence.ledger import budgets
from persistence.sessions import fork_points, workspaces
from persistence.sessions.fork_points import ForkPoint
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from services.definitions import inline_work
from services.executions.access import get_own_execution
from services.executions.inputs import ForkBody
from services.executions.retrying import require_runnable_task
from services.executions.starting import start_execution
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

_NO_FILES = (
    "The files after this turn are not stored: they were deleted to free space, or could not be "
    "saved. Use another turn."
)

_refusal = partial(refuse_field, "The execution can't be forked like this; see errors.")


async def fork(work: UnitOfWork, execution_id: UUID, body: ForkBody) -> ExecutionRow:
    """Start an execution that continues another one from a turn.

    Raises:
        ConflictError: it has no prompt yet, or its task is inactive or deleted.
    """
    source = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    if source.executor != "claude":
        raise ConflictError("This execution has no transcript to fork; retry it instead.")
    if source.prefix_sha256 is None or source.session_id is None:
        raise ConflictError("This execution has no prompt yet, so there is nothing to fork.")
    await require_runnable_task(work, source)
    origin = await work.session.get_one(SessionRow, source.session_id)
    if origin.deleted_at is not None:
        raise NotFoundError("The session of this execution is deleted.")
    point = await _fork_point(work.session, source, body)
    session = await fork_points.create_session(work.session, source, origin, point)
    files = await workspaces.find_after_turn(work.session, source, body.at_turn)
    if files is not None:
        is_stored = files.blobs and await workspaces.copy(work.session, files, session.id)
        if not is_stored:
            raise _refusal("at_turn", _NO_FILES)
    start = Start(
        work=await _make_work(work.session, source, body),
        user_id=source.user_id,
        actor=work.caller.actor,
        trigger_type="fork",
        action="execution.fork",
        variables=source.prompt_variables if body.variables is None else body.variables,
        trigger_metadata={**source.trigger_metadata, "at_turn": body.at_turn},
        priority=source.priority,
        budget_usd=await budgets.find_limit(work.session, source),
        session_id=session.id,
        forked_from_id=source.id,
        rendered_prompt=_prompt_of_fork(source, body),
    )
    return await start_execution(work, start)


def _prompt_of_fork(source: ExecutionRow, body: ForkBody) -> str | None:
    """Return the first message of the fork: its own prompt, or "" if it sends none after a turn.

    None: the prompt of the definition is rendered. A fork of a fork at turn 0 repeats the prompt
    that the source sent.
    """
    if body.prompt is not None:
        return body.prompt
    if body.at_turn > 0:
        return ""
    is_rendered_again = body.variables is not None or source.forked_from_id is None
    return None if is_rendered_again else source.rendered_prompt


async def _fork_point(session: AsyncSession, source: ExecutionRow, body: ForkBody) -> ForkPoint:
    if body.at_turn == 0:
        return await fork_points.find_start(session, source)
    point = await fork_points.find_after_turn(session, source, body.at_turn)
    if point is None:
        turns = await fork_points.count_turns(session, source)
        raise _refusal(
            "at_turn", f"The last turn so far is {turns}; use 0 for before the first turn."
        )
    if body.variables is not None:
        raise _refusal("variables", "The prompt is already rendered; use variables with at_turn 0.")
    if point.needs_prompt and body.prompt is None:
        hint = "This turn ended with the model's final answer; send a prompt to continue from it."
        raise _refusal("prompt", hint, "missing")
    return point


async def _make_work(session: AsyncSession, source: ExecutionRow, body: ForkBody) -> Work:
    """Return the work of the source, with another model if the body names one."""
    work = await inline_work.read_work(session, source)
    if body.model is None:
        return work
    options = work.definition.sdk_options.model_copy(update={"model": body.model})
    changes: dict[str, Any] = {"sdk_options": options}
    return Work(
        definition=work.definition.model_copy(update=changes),
        title=work.title,
        is_inline=True,
        task_id=work.task_id,
        task_version=work.task_version,
        tags=work.tags,
    )
