"""Starts executions: every start, on whatever surface, is checked and stored here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.agents.agent import Agent
from domain.errors import (
    FieldProblem,
    InvalidInputError,
    PermissionDeniedError,
    TaskInactiveError,
)
from domain.executions.limits import MAX_DEPTH
from domain.executions.states import PREREQUISITES, ExecutionStatus
from domain.model import pricing
from domain.templates import LONGEST_RENDERED, compute_rendered_length
from persistence.definitions.tasks import StoredTask
from persistence.executions import creation, prerequisites, queries
from persistence.executions.creation import SESSION_BUSY, QueueTerms, Start, Work
from persistence.identity import users
from persistence.sessions import sessions
from persistence.tables.executions import ExecutionRow
from services.caller import missing
from services.definitions import inline_work, references, task_rules
from services.definitions.json_schemas import value_problems
from services.definitions.warnings import (
    approver_warnings,
    definition_warnings,
    model_warnings,
    network_warnings,
    placeholder_warnings,
    unused_variable_warnings,
)
from services.executions.access import (
    get_own_execution,
    get_own_task,
    get_readable_task,
    require_active,
)
from services.executions.inputs import ExecuteBody, WorkBody
from services.scheduling.variables import format_time, with_schedule_variables, work_of
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

LATEST_DEADLINE = timedelta(days=3650)
"""The latest deadline, counted from now: far beyond any run, and within the calendar of Postgres
(chosen)."""

UNMEETABLE = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
"""A prerequisite in one of these states can never be met."""


async def start_task(work: UnitOfWork, task_id: UUID, body: ExecuteBody) -> ExecutionRow:
    """Start an execution of a task that the caller may read.

    Raises:
        TaskInactiveError: the task is inactive.
    """
    task = await get_readable_task(work.connected, work.caller, task_id)
    start = make_start(work, require_active_work(task), body)
    return await start_execution(
        work, start, strict_variables=body.strict_variables, is_whole_service=True
    )


async def start_stored_task(work: UnitOfWork, task: StoredTask, body: ExecuteBody) -> ExecutionRow:
    """As `start_task`, of a task that was read in this transaction."""
    start = make_start(work, require_active_work(task), body)
    return await start_execution(work, start, strict_variables=body.strict_variables)


async def start_inline_work(
    work: UnitOfWork, body: WorkBody, *, fails_unmeetable: bool = False
) -> ExecutionRow:
    """Start an execution of the definition in the request; see `start_execution`."""
    if body.session_id is not None and body.parent_execution_id is not None:
        await sessions.lock(work.session, body.session_id)  # before its parent (`db/locks.py`)
    start = make_start(
        work,
        await inline_work.define_work(work, body),
        body,
        variables=inline_work.choose_variables(body),
        action="execution.create",
        parent=await find_parent(work, body.parent_execution_id),
        queue=_terms_of(body),
    )
    return await start_execution(
        work,
        start,
        strict_variables=body.strict_variables,
        fails_unmeetable=fails_unmeetable,
    )


async def find_parent(
    work: UnitOfWork, execution_id: UUID | None, *, field: str = "parent_execution_id"
) -> ExecutionRow | None:
    """Lock the execution of which new work is to be a part, which `field` of the body names.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    if execution_id is None:
        return None
    parent = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    require_active(parent)
    if parent.depth >= MAX_DEPTH:
        hint = f"Work may be nested {MAX_DEPTH} levels deep; this would be deeper."
        raise refuse_field("The parent does not fit; see errors.", field, hint)
    return parent


def _terms_of(body: WorkBody) -> QueueTerms:
    return QueueTerms(
        summary=body.summary,
        source=body.source,
        estimated_duration_seconds=body.estimated_duration_seconds,
        input_data=body.input_data,
    )


async def trigger_schedule(work: UnitOfWork, task_id: UUID) -> ExecutionRow:
    """Start a scheduled task now, even while its schedule is paused.

    Raises:
        ConflictError: it has no schedule.
    """
    task = await get_own_task(work.session, work.caller, task_id)
    task_rules.require_schedule(task.row)
    scheduled_at = format_time(datetime.now(UTC))
    start = make_start(
        work,
        require_active_work(task),
        ExecuteBody(trigger_metadata={"scheduled_at": scheduled_at}),
        user_id=task.row.user_id,
        trigger_type="scheduled",
        action="schedule.trigger",
    )
    return await start_execution(work, start)


async def start_execution(
    work: UnitOfWork,
    start: Start,
    *,
    strict_variables: bool = False,
    scheduled_at: datetime | None = None,
    fails_unmeetable: bool = False,
    is_whole_service: bool = False,
) -> ExecutionRow:
    """Check and store an execution. Its workflow starts after the commit, unless it is blocked.

    A prerequisite that has failed or was cancelled refuses the start; with `fails_unmeetable` the
    execution is stored and fails at once, as if the prerequisite had ended a moment later.

    `is_whole_service`: the caller writes nothing else, so it may be stored in one statement.

    `scheduled_at` is the time of a scheduled run; without it, a scheduled task runs as of now.
    """
    start = await with_schedule_variables(work.session, start, scheduled_at or datetime.now(UTC))
    agent = await check_start(work, start, strict_variables=strict_variables)
    start = _with_executor(start, agent)
    is_session_busy = await _lock_session(work, start)
    statuses = await _check_prerequisites(work, start, fails_unmeetable=fails_unmeetable)
    is_unmet = any(status is not ExecutionStatus.COMPLETED for status in statuses.values())
    await work.services.quotas.check(work.session, start.user_id)
    await work.services.storage.check(work.session, start.user_id)
    blocked_by = PREREQUISITES if is_unmet else SESSION_BUSY if is_session_busy else None
    start = replace(start, warnings=await _find_warnings(work, start, agent))
    on = work.connected if is_whole_service and not start.is_budgeted else work.session
    row = await creation.store(on, start, blocked_by=blocked_by)
    if start.prerequisites:
        await prerequisites.store(work.session, row.id, start.prerequisites)
        unmeetable = {key: status for key, status in statuses.items() if status in UNMEETABLE}
        await prerequisites.fail(work.session, unmeetable)
        await work.session.refresh(row)
    if blocked_by is None and start.workflow_id is None:
        work.start_workflow(row)
    return row


def _with_executor(start: Start, agent: Agent | None) -> Start:
    """The start with its executor: the one that the work names, or else that of the agent."""
    executor = start.work.executor or (agent.executor if agent else "claude")
    if executor == "external" and start.work.definition.generate_report:
        hint = "Reports are made from Claude's transcript; an external execution has none."
        raise refuse_field("The execution can't be started; see errors.", "generate_report", hint)
    if executor != "external" and (given := _list_queue_fields(start)):
        hint = 'Only external work has this; send executor "external", or leave it out.'
        raise refuse_field("The execution can't be started; see errors.", given[0], hint)
    return replace(start, work=replace(start.work, executor=executor))


def _list_queue_fields(start: Start) -> list[str]:
    """The fields of external work that a request for other work has."""
    return [name for name, value in asdict(start.queue).items() if value is not None]


async def _find_warnings(work: UnitOfWork, start: Start, agent: Agent | None) -> Sequence[str]:
    definition, services = start.work.definition, work.services
    model = task_rules.choose_model(definition, agent, services.settings.default_model)
    # A hook passes whatever another system sends.
    given = [] if start.trigger_type == "webhook" else start.variables
    return [
        *unused_variable_warnings(definition, given),
        *definition_warnings(definition),
        *network_warnings(definition, services.settings.network),
        *model_warnings(services.models, model),
        *await approver_warnings(work.session, definition, start.user_id),
    ]


async def check_start(
    work: UnitOfWork, start: Start, *, strict_variables: bool = False
) -> Agent | None:
    """Check that an execution can start, without starting it. Return the agent it names."""
    definition = start.work.definition
    await _require_admin(work, start)
    agent, problems = await references.find_agent(work.session, start.user_id, definition)
    if strict_variables:
        problems += [
            FieldProblem(("body", "variables", name), "The prompt needs a value.", "missing")
            for name in start.missing
        ]
        problems += [
            FieldProblem(("body", "variables"), warning)
            for warning in placeholder_warnings(definition)
        ]
    variables: dict[str, Any] = {**definition.default_variables, **start.variables}
    if definition.variables_schema is not None:
        loc = ("body", "variables")
        problems += await value_problems(work, definition.variables_schema, variables, loc)
    if compute_rendered_length(definition.prompt_template, variables) > LONGEST_RENDERED:
        hint = f"The rendered prompt is longer than {LONGEST_RENDERED} characters; shorten it."
        problems.append(FieldProblem(("body", "variables"), hint, "too_long"))
    model = task_rules.choose_model(definition, agent, work.services.settings.default_model)
    if start.budget_usd is not None and not pricing.is_priced(model):
        problems.append(task_rules.unpriced_problem(("body", "max_budget_usd"), model))
    problems += list_deadline_problems(start.deadline_at)
    if problems:
        raise InvalidInputError("The execution can't be started; see errors.", problems)
    return agent


def list_deadline_problems(deadline_at: datetime | None) -> list[FieldProblem]:
    """What is wrong with the deadline of a request."""
    now = datetime.now(UTC)
    if deadline_at is None or now < deadline_at < now + LATEST_DEADLINE:
        return []
    hint = "The deadline must be in the future, and within ten years."
    return [FieldProblem(("body", "deadline_at"), hint)]


async def _require_admin(work: UnitOfWork, start: Start) -> None:
    """Refuse what only an admin may run, if the owner was an admin when it was stored, and is none.

    Raises:
        PermissionDeniedError: neither the owner nor the caller is an admin.
    """
    requirement = task_rules.admin_requirement(start.work.definition)
    if requirement is None or work.caller.is_admin:
        return
    user = await users.find_current(work.session, start.user_id)
    if user is None or user.role != "admin":
        raise PermissionDeniedError(f"{requirement} Change it, or ask an admin to run it.")


def require_active_work(task: StoredTask) -> Work:
    """Return the newest version of a task as work.

    Raises:
        TaskInactiveError: the task is inactive.
    """
    if not task.row.is_active:
        raise TaskInactiveError("This task is inactive; set is_active to true to execute it.")
    return work_of(task)


def make_start(work: UnitOfWork, task_work: Work, body: ExecuteBody, **changes: Any) -> Start:
    """Return the start that a request asks for; `changes` replace fields of `Start`."""
    fields: dict[str, Any] = {
        "user_id": work.caller.user_id,
        "actor": work.caller.actor,
        "trigger_type": work.caller.trigger_type,
        "variables": body.variables,
        "trigger_metadata": body.trigger_metadata,
        "priority": body.priority,
        "session_id": body.session_id,
        "budget_usd": body.max_budget_usd,
        "deadline_at": body.deadline_at,
        "prerequisites": tuple(dict.fromkeys(body.prerequisites)),
        **changes,
    }
    return Start(work=task_work, **fields)


async def _lock_session(work: UnitOfWork, start: Start) -> bool:
    """Lock the session of a start. Return whether another execution is active in it."""
    if start.session_id is None:
        return False
    row = await sessions.lock(work.session, start.session_id)
    if row is None:
        raise missing("session", start.session_id)
    if row.user_id != start.user_id:
        raise work.caller.not_owned("session", start.session_id)
    return await queries.is_session_busy(work.session, start.session_id)


async def _check_prerequisites(
    work: UnitOfWork, start: Start, *, fails_unmeetable: bool
) -> Mapping[UUID, ExecutionStatus]:
    """Lock the prerequisites, and return their statuses."""
    if not start.prerequisites:
        return {}
    statuses = await prerequisites.lock_statuses(work.session, start.user_id, start.prerequisites)
    problems = list(_prerequisite_problems(start, statuses, fails_unmeetable=fails_unmeetable))
    if problems:
        raise InvalidInputError("The execution can't be started; see errors.", problems)
    return statuses


def _prerequisite_problems(
    start: Start, statuses: Mapping[UUID, ExecutionStatus], *, fails_unmeetable: bool
) -> Iterator[FieldProblem]:
    for position, execution_id in enumerate(start.prerequisites):
        loc = ("body", "prerequisites", position)
        status = statuses.get(execution_id)
        if status is None:
            yield FieldProblem(loc, f"You have no execution {execution_id}.", "unknown")
        elif status in UNMEETABLE and not fails_unmeetable:
            message = f"Execution {execution_id} is {status} and can't complete anymore."
            yield FieldProblem(loc, message)
