"""Starting executions: checked and stored in one transaction, then the workflow.

Whatever starts an execution at the gateway (a task, a message, a retry, a fork, a hook) comes
through here.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import views
from api.executions.schemas import ExecuteBody
from api.executions.waiting import settled
from api.gateway import Gateway
from api.http import metrics
from api.http.idempotency import run_once
from api.http.request_context import Call
from api.http.responses import answer
from domain import pricing
from domain.agents import Agent
from domain.dispatch import StartRequest
from domain.errors import (
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    TaskInactiveError,
)
from domain.states import PREREQUISITES, ExecutionStatus
from domain.templates import LONGEST_RENDERED, rendered_length
from persistence.definitions.tasks import StoredTask
from persistence.executions import creation, prerequisites, queries, signals
from persistence.executions.creation import SESSION_BUSY, Start, Work
from persistence.sessions import sessions
from persistence.tables.executions import ExecutionRow
from services.definitions import references, task_rules
from services.definitions.json_schemas import value_problems
from services.scheduling import scheduled_runs

LATEST_DEADLINE = timedelta(days=3650)
"""Far beyond any run, and far from the end of the calendar, which Postgres can't reach (chosen)."""

UNMEETABLE = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
"""Ends after which nothing that waits for them can ever start."""

CLIENT_HEADER = "perdure-client"
"""Our own command line says `cli` in it, which is then the trigger of what it starts."""


@dataclass(frozen=True, slots=True)
class Started:
    """A stored execution and what its workflow is to be started with; None while it is blocked."""

    row: ExecutionRow
    request: StartRequest | None
    is_said: bool = False
    """Nothing was started: something was said to the execution, and its bell is to be rung."""


def work_of(task: StoredTask) -> Work:
    """The newest version of a task.

    Raises:
        TaskInactiveError: the task is switched off.
    """
    if not task.row.is_active:
        raise TaskInactiveError("This task is switched off; set is_active to execute it.")
    return scheduled_runs.work_of(task)


def start_of_body(call: Call, work: Work, body: ExecuteBody, **more: Any) -> Start:
    """What the caller asks for in their own name; `more` are fields of `Start` that differ."""
    given: dict[str, Any] = {
        "user_id": call.principal.user_id,
        "actor": call.actor,
        "trigger_type": trigger_type(call),
        "variables": body.variables,
        "trigger_metadata": body.trigger_metadata,
        "priority": body.priority,
        "session_id": body.session_id,
        "budget_usd": body.max_budget_usd,
        "deadline_at": body.deadline_at,
        "prerequisites": tuple(dict.fromkeys(body.prerequisites)),
        **more,
    }
    return Start(work=work, **given)


def trigger_type(call: Call) -> str:
    """What an execution is triggered by that this request starts."""
    is_cli = call.request.headers.get(CLIENT_HEADER) == "cli"
    return "cli" if is_cli else call.principal.trigger_type


async def start(
    session: AsyncSession, gateway: Gateway, wanted: Start, *, strict_variables: bool = False
) -> Started:
    """Check and store an execution; `dispatch` it after the commit.

    Raises:
        InvalidInputError: variables, budget or deadline don't fit.
        NotFoundError: there is no such session.
        PermissionDeniedError: the session is another user's than the execution.
        QuotaExceededError: the user has too much running, or has spent too much today.
    """
    wanted = await scheduled_runs.with_schedule_variables(session, wanted, datetime.now(UTC))
    await check(session, gateway, wanted, strict_variables=strict_variables)
    is_blocked = wanted.session_id is not None and await _is_busy(
        session, wanted.session_id, wanted.user_id
    )
    is_waiting = await _is_waiting(session, wanted)
    await gateway.allowances.check(session, wanted.user_id)
    blocked_by = PREREQUISITES if is_waiting else SESSION_BUSY if is_blocked else None
    row = await creation.store(session, wanted, blocked_by=blocked_by)
    await prerequisites.require(session, row.id, wanted.prerequisites)
    return Started(row, None if blocked_by else creation.request_of(row))


async def dispatch(gateway: Gateway, started: Started) -> None:
    """Start the workflow of a committed execution; what fails here is the relay's."""
    if started.request is not None:
        was_started = await gateway.dispatcher.start(started.request)
        if was_started:
            await signals.mark_dispatched(gateway.database, started.row.id)
        metrics.STARTS.labels("started" if was_started else "left_to_relay").inc()
    elif started.is_said:
        await gateway.dispatcher.wake(started.row.workflow_id)


async def accepted(
    call: Call,
    begin: Callable[[AsyncSession], Awaitable[Started]],
    wait: float,
    *,
    status: int = 202,
) -> Response:
    """The answer to a request that starts an execution: `begin` stores it, this does the rest.

    It is kept under the request's Idempotency-Key. With `wait` the answer is 200 as soon as the
    execution has settled, and the first one (202) when the seconds are over.
    """

    async def store(session: AsyncSession) -> tuple[Response, Started]:
        started = await begin(session)
        read = views.execution(call, started.row)
        return answer(read, status, {"Location": read.links["self"]}), started

    done = await run_once(call, store)
    if done.value is not None:
        await dispatch(call.gateway, done.value)
    if wait and done.response.status_code == status:
        return await settled(call, done.response, wait)
    return done.response


async def check(
    session: AsyncSession, gateway: Gateway, wanted: Start, *, strict_variables: bool
) -> Agent | None:
    """Make sure that an execution can be started, without starting it; the agent it names.

    Raises:
        InvalidInputError: it can't be; every problem is told at once.
    """
    definition = wanted.work.definition
    agent, problems = await references.agent_of(session, wanted.user_id, definition)
    if strict_variables:
        problems += [
            FieldProblem(("body", "variables", name), "The prompt needs a value.", "missing")
            for name in wanted.missing
        ]
    variables: dict[str, Any] = {**definition.default_variables, **wanted.variables}
    if definition.variables_schema is not None:
        problems += value_problems(definition.variables_schema, variables, ("body", "variables"))
    if rendered_length(definition.prompt_template, variables) > LONGEST_RENDERED:
        hint = f"The prompt would be over {LONGEST_RENDERED} characters."
        problems.append(FieldProblem(("body", "variables"), hint, "too_long"))
    model = task_rules.model_of(definition, agent, gateway.settings.model)
    if wanted.budget_usd is not None and not pricing.is_priced(model):
        problems.append(task_rules.unpriced(("body", "max_budget_usd"), model))
    now = datetime.now(UTC)
    if wanted.deadline_at is not None and not now < wanted.deadline_at < now + LATEST_DEADLINE:
        hint = "The deadline must lie ahead, and within ten years."
        problems.append(FieldProblem(("body", "deadline_at"), hint))
    if problems:
        raise InvalidInputError("The execution can't be started; see errors.", problems)
    return agent


async def _is_busy(session: AsyncSession, session_id: UUID, user_id: UUID) -> bool:
    row = await sessions.lock(session, session_id)
    if row is None:
        raise NotFoundError(f"There is no session {session_id}.")
    if row.user_id != user_id:
        raise PermissionDeniedError("This session is another user's.")
    return await queries.is_session_busy(session, session_id)


async def _is_waiting(session: AsyncSession, wanted: Start) -> bool:
    """Whether a prerequisite is not completed yet."""
    if not wanted.prerequisites:
        return False
    standing = await prerequisites.lock_statuses(session, wanted.user_id, wanted.prerequisites)
    if problems := list(_prerequisite_problems(wanted, standing)):
        raise InvalidInputError("The execution can't be started; see errors.", problems)
    return any(status is not ExecutionStatus.COMPLETED for status in standing.values())


def _prerequisite_problems(
    wanted: Start, standing: Mapping[UUID, ExecutionStatus]
) -> Iterator[FieldProblem]:
    for place, execution_id in enumerate(wanted.prerequisites):
        loc = ("body", "prerequisites", place)
        status = standing.get(execution_id)
        if status is None:
            yield FieldProblem(loc, f"You have no execution {execution_id}.", "unknown")
        elif status in UNMEETABLE:
            yield FieldProblem(loc, f"Execution {execution_id} is {status}, and stays so.")
