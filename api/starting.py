"""Starting executions: the row and all that goes with it in one transaction, then the workflow.

Whatever starts an execution (a task, later a hook, a retry, an agent) comes through here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api import metrics, task_rules
from api.calls import Call
from api.json_schemas import value_problems
from api.schemas.executions import ExecuteBody
from contracts.definitions import TaskDefinition
from contracts.dispatch import StartRequest
from contracts.names import workflow_id
from domain import pricing, templates
from domain.errors import (
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    TaskInactiveError,
)
from domain.ids import new_id
from domain.states import ExecutionStatus
from persistence import audit, executions, outbox, sessions
from persistence.outbox import Said, say
from persistence.tables.executions import ExecutionRow
from persistence.tasks import StoredTask

SESSION_BUSY = "session_busy"

LATEST_DEADLINE = timedelta(days=3650)
"""Far beyond any run, and far from the end of the calendar, which Postgres can't reach (chosen)."""


@dataclass(frozen=True, slots=True)
class Started:
    """A stored execution and what its workflow is to be started with; None while it is blocked."""

    row: ExecutionRow
    request: StartRequest | None


async def start(session: AsyncSession, call: Call, task: StoredTask, body: ExecuteBody) -> Started:
    """Store an execution of a task the caller may execute; `dispatch` it after the commit.

    Raises:
        TaskInactiveError: the task is switched off.
        InvalidInputError: variables, budget or deadline don't fit.
        NotFoundError: there is no such session.
        PermissionDeniedError: the session is somebody else's.
    """
    if not task.row.is_active:
        raise TaskInactiveError("This task is switched off; set is_active to execute it.")
    definition = TaskDefinition.model_validate(task.definition)
    missing = _missing(definition, body)
    _check(definition, body, missing, call.gateway.settings.model)
    is_blocked = body.session_id is not None and await _is_busy(session, call, body.session_id)
    row = _row(call, task, definition, body, is_blocked=is_blocked)
    row.missing_variables = list(missing)
    created = {"status": row.status, "title": row.title, "trigger_type": row.trigger_type}
    await executions.create(session, row, created)
    await audit.record(
        session,
        call.actor,
        "task.execute",
        ("execution", row.id),
        after={"task_id": str(row.task_id), "task_version": row.task_version},
    )
    if is_blocked:
        return Started(row, None)
    await say(session, row.id, Said.START, {"tags": task.row.tags})
    await session.flush()
    return Started(row, start_request(row, task.row.tags))


async def dispatch(call: Call, started: Started) -> None:
    """Start the workflow of a committed execution; what fails here is the relay's."""
    if started.request is not None:
        was_started = await call.gateway.dispatcher.start(started.request)
        if was_started:
            await outbox.dispatched(call.gateway.database, started.row.id)
        metrics.STARTS.labels("started" if was_started else "left_to_relay").inc()


def start_request(row: ExecutionRow, tags: Sequence[str]) -> StartRequest:
    """What the workflow of an execution is started with."""
    return StartRequest(
        execution_id=row.id,
        workflow_id=row.workflow_id,
        user_id=row.user_id,
        task_id=row.task_id,
        title=row.title,
        trigger_type=row.trigger_type,
        agent_id=row.agent_id,
        tags=tags,
        priority=row.priority,
    )


def _row(
    call: Call,
    task: StoredTask,
    definition: TaskDefinition,
    body: ExecuteBody,
    *,
    is_blocked: bool,
) -> ExecutionRow:
    execution_id = new_id()
    status = ExecutionStatus.BLOCKED if is_blocked else ExecutionStatus.PENDING
    return ExecutionRow(
        id=execution_id,
        user_id=call.principal.user_id,
        task_id=task.row.id,
        task_version=task.row.version,
        session_id=body.session_id,
        title=task.row.name,
        agent_id=definition.agent_id,
        trigger_type=call.principal.trigger_type,
        trigger_metadata=body.trigger_metadata,
        prompt_variables=body.variables,
        status=status,
        status_reason=SESSION_BUSY if is_blocked else None,
        budget_usd=body.max_budget_usd or definition.sdk_options.max_budget_usd,
        priority=body.priority,
        deadline_at=body.deadline_at,
        workflow_id=workflow_id(execution_id),
    )


def _missing(definition: TaskDefinition, body: ExecuteBody) -> tuple[str, ...]:
    given = definition.default_variables.keys() | body.variables.keys()
    return tuple(n for n in templates.names(definition.prompt_template) if n not in given)


def _check(
    definition: TaskDefinition, body: ExecuteBody, missing: Sequence[str], default_model: str
) -> None:
    problems: list[FieldProblem] = []
    if body.strict_variables:
        problems += [
            FieldProblem(("body", "variables", name), "The prompt needs a value.", "missing")
            for name in missing
        ]
    if definition.variables_schema is not None:
        variables: dict[str, Any] = {**definition.default_variables, **body.variables}
        problems += value_problems(definition.variables_schema, variables, ("body", "variables"))
    model = definition.sdk_options.model or default_model
    if body.max_budget_usd is not None and not pricing.is_priced(model):
        problems.append(task_rules.unpriced(("body", "max_budget_usd"), model))
    now = datetime.now(UTC)
    if body.deadline_at is not None and not now < body.deadline_at < now + LATEST_DEADLINE:
        hint = "The deadline must lie ahead, and within ten years."
        problems.append(FieldProblem(("body", "deadline_at"), hint))
    if problems:
        raise InvalidInputError("The execution can't be started; see errors.", problems)


async def _is_busy(session: AsyncSession, call: Call, session_id: UUID) -> bool:
    row = await sessions.find(session, session_id)
    if row is None:
        raise NotFoundError(f"There is no session {session_id}.")
    call.require_own(row.user_id, "session")
    return await executions.is_session_busy(session, session_id)
