"""Forking an execution at a turn: what of it is shared, and what the fork does with that."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.schemas import ForkBody
from api.http.request_context import Call
from domain.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from persistence.executions.creation import Start, Work
from persistence.sessions import fork_points
from persistence.sessions.fork_points import ForkPoint
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from services.definitions import inline_work
from services.executions.messaging import require_runnable
from services.executions.starting import Started, start


async def fork(session: AsyncSession, call: Call, source: ExecutionRow, body: ForkBody) -> Started:
    """Store an execution that shares a locked one's conversation up to a turn.

    Raises:
        ConflictError: it has not come to its first model call, or its task is switched off or
            deleted.
        PermissionDeniedError: its task is shared no longer.
        InvalidInputError: there is no such turn, or the body does not fit it.
    """
    if source.prefix_sha256 is None or source.session_id is None:
        raise ConflictError("This execution has no prompt yet, so there is nothing to fork.")
    if source.task_id is not None:
        await require_runnable(session, source.task_id, source.user_id)
    origin = await session.get_one(SessionRow, source.session_id)
    if origin.deleted_at is not None:
        raise NotFoundError("The session of this execution is deleted.")
    point = await _point(session, source, body)
    beginning = await fork_points.session_at(session, source, origin, point)
    started = await start(
        session,
        call.gateway,
        Start(
            work=await _work(session, source, body),
            user_id=source.user_id,
            actor=call.actor,
            trigger_type="fork",
            action="execution.fork",
            variables=source.prompt_variables if body.variables is None else body.variables,
            trigger_metadata={**source.trigger_metadata, "at_turn": body.at_turn},
            priority=source.priority,
            budget_usd=source.budget_usd,
            session_id=beginning.id,
            forked_from_id=source.id,
        ),
    )
    started.row.rendered_prompt = _said(source, body)
    if started.row.rendered_prompt is not None:
        started.row.missing_variables = []
    await session.flush()
    return started


def _said(source: ExecutionRow, body: ForkBody) -> str | None:
    """What the fork says: its own prompt, or nothing after a turn; None: the definition's prompt.

    Before the first turn of what is a fork itself, that is what it said then.
    """
    if body.prompt is not None:
        return body.prompt
    if body.at_turn > 0:
        return ""
    is_said_anew = body.variables is not None or source.forked_from_id is None
    return None if is_said_anew else source.rendered_prompt


async def _point(session: AsyncSession, source: ExecutionRow, body: ForkBody) -> ForkPoint:
    if body.at_turn == 0:
        return await fork_points.beginning(session, source)
    point = await fork_points.after_turn(session, source, body.at_turn)
    if point is None:
        turns = await fork_points.turns(session, source)
        raise _refused("at_turn", f"Its last turn so far is {turns}; 0 is before the first.")
    if body.variables is not None:
        raise _refused("variables", "The prompt is written already; they go with at_turn 0 only.")
    if point.needs_prompt and body.prompt is None:
        hint = "This turn was the model's last word, so there is nothing to go on with: say more."
        raise _refused("prompt", hint, "missing")
    return point


async def _work(session: AsyncSession, source: ExecutionRow, body: ForkBody) -> Work:
    """What the origin was to do, on another model if one is named."""
    work = await inline_work.same_work(session, source)
    if body.model is None:
        return work
    options = work.definition.sdk_options.model_copy(update={"model": body.model})
    changed: dict[str, Any] = {"sdk_options": options}
    return Work(
        definition=work.definition.model_copy(update=changed),
        title=work.title,
        is_inline=True,
        task_id=work.task_id,
        task_version=work.task_version,
        tags=work.tags,
    )


def _refused(field: str, msg: str, kind: str = "value_error") -> InvalidInputError:
    problem = FieldProblem(("body", field), msg, kind)
    return InvalidInputError("The execution can't be forked so; see errors.", [problem])
