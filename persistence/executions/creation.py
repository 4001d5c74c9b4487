"""Stores a new execution: its row and all that belongs to it, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, JSON
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql.elements import KeyedColumnElement

from contracts.names import workflow_id
from definitions.tasks import TaskDefinition
from domain import templates
from domain.executions.dispatch import INLINE_TITLE, PLAN_TITLE, StartRequest
from domain.executions.priority import PriorityFacts, WorkSource, find_source
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from domain.plans.plan import PLAN, STEP_TRIGGER, Executor
from domain.templates import step_references
from domain.text import clean
from persistence.db import sql
from persistence.db.database import to_json
from persistence.db.raw_connection import DIALECT, Connected, fetch_rows
from persistence.executions.priorities import compute, seconds_until
from persistence.executions.signals import FIRST_WAKE
from persistence.ledger import budgets
from persistence.ledger.audit import Actor
from persistence.tables.columns import read_as
from persistence.tables.executions import ExecutionRow

SESSION_BUSY = "session_busy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an execution runs: a version of a task, or a definition of its own.

    `is_inline`: the definition is stored with the execution; `task_id` is then the task that it was
    made from.
    """

    definition: TaskDefinition
    title: str
    is_inline: bool
    task_id: UUID | None = None
    task_version: int | None = None
    tags: Sequence[str] = ()
    executor: Executor | None = None
    """Empty: the executor of the agent."""
    is_scheduled: bool = False
    """Its prompt has the variables of a schedule (`services/scheduling/scheduled_runs.py`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTerms:
    """What is known only about external work: its summary and input, and what orders it."""

    summary: str | None = None
    source: WorkSource | None = None
    estimated_duration_seconds: float | None = None
    input_data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An execution to be stored, its user, and who requested it.

    `workflow_id` and `first_run_id` are given if the workflow runs already, as for a scheduled run.
    """

    work: Work
    user_id: UUID
    actor: Actor
    trigger_type: str
    action: str = "task.execute"
    """The action in the audit log."""
    id: UUID = field(default_factory=new_id)
    variables: Mapping[str, Any] = field(default_factory=dict)
    known_variables: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the prompt that the caller did not pass."""
    trigger_metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 5
    session_id: UUID | None = None
    budget_usd: Decimal | None = None
    deadline_at: datetime | None = None
    retry_of_id: UUID | None = None
    forked_from_id: UUID | None = None
    prerequisites: Sequence[UUID] = ()
    """Executions of the user that must be completed first."""
    warnings: Sequence[str] = ()
    rendered_prompt: str | None = None
    """The first message of a fork, if it differs from the prompt of the definition."""
    parent: ExecutionRow | None = None
    """The execution that it is a part of."""
    queue: QueueTerms = field(default_factory=QueueTerms)
    workflow_id: str | None = None
    first_run_id: str | None = None

    @property
    def is_budgeted(self) -> bool:
        """Whether it has a budget of its own."""
        return (self.budget_usd or self.work.definition.sdk_options.max_budget_usd) is not None

    @property
    def missing(self) -> Sequence[str]:
        """Variables of the prompt that have no value."""
        definition = self.work.definition
        given = {
            templates.normalise(name)
            for values in (definition.default_variables, self.known_variables, self.variables)
            for name in values
        }
        return [n for n in templates.names(definition.prompt_template) if n not in given]


_TABLE = ExecutionRow.__table__
_GIVEN = [
    column
    for column in _TABLE.columns
    if column.server_default is None or column.name in ("event_seq", "tags", "warnings")
]
"""The columns that are stored. The others have their values from Postgres."""
_GENERATED = [_TABLE.c.id, *(column for column in _TABLE.columns if column not in _GIVEN)]


def _value(column: KeyedColumnElement[Any]) -> str:
    """The value of a column in row `n`, from its parameter: an array. JSON is sent as text."""
    kind = column.type.compile(DIALECT)
    if isinstance(column.type, ARRAY):
        row = f"CAST((CAST(:{column.name} AS text[]))[n] AS json)"
        return f"ARRAY(SELECT json_array_elements_text({row}))"
    if isinstance(column.type, JSON):
        return f"CAST((CAST(:{column.name} AS text[]))[n] AS {kind})"
    return f"(CAST(:{column.name} AS {kind}[]))[n]"


_STORE = sql.load(
    "executions/creation.sql",
    columns=", ".join(column.name for column in _GIVEN),
    values=", ".join(map(_value, _GIVEN)),
    generated=", ".join(column.name for column in _GENERATED),
)["store"].columns(*_GENERATED)


async def store(on: Connected, start: Start, *, blocked_by: str | None = None) -> ExecutionRow:
    """Write the row, its first event, an audit row, and the start for the relay.

    `blocked_by` is why it can't run yet; it is started when that reason ends.
    """
    (row,) = await store_all(on, [(start, blocked_by)])
    return row


async def store_all(
    on: Connected, starts: Sequence[tuple[Start, str | None]]
) -> Sequence[ExecutionRow]:
    """As `store`, for executions of the same user, parent and request, each with its `blocked_by`.

    The number of statements does not depend on the number of executions. Without a parent and
    budgets it is one; otherwise a session is needed.
    """
    first = starts[0][0]
    rows = [_row(start, blocked_by) for start, blocked_by in starts]
    parent_id = first.parent.id if first.parent else None
    if isinstance(on, AsyncSession):
        await on.flush()  # the executions may refer to rows that were added before
    if parent_id is not None:
        await _limit_to_parent(_session(on), parent_id, rows)
    _complete(rows, await fetch_rows(on, _STORE, _make_parameters(first, rows)))
    if isinstance(on, AsyncSession):
        for row in rows:
            make_transient_to_detached(row)
        on.add_all(rows)
    has_budget = {row.id: row.budget_usd is not None for row in rows}
    if parent_id is not None or any(has_budget.values()):
        await budgets.open_accounts(_session(on), has_budget, parent_id=parent_id)
    return rows


def _make_parameters(start: Start, rows: Sequence[ExecutionRow]) -> dict[str, Any]:
    """The parameters of the statement that stores `rows`; `start` is that of any of them."""
    tags = [(row.id, tag) for row in rows for tag in set(row.tags)]
    return {
        **{column.name: [_encode(column, row) for row in rows] for column in _GIVEN},
        "owner_id": start.user_id,
        "actor_id": start.actor.user_id,
        "request_id": start.actor.request_id,
        "address": start.actor.address,
        "action": start.action,
        "events": [to_json(_describe_created(row)) for row in rows],
        "audited": [to_json(_list_sources(row)) for row in rows],
        "tagged_ids": [execution_id for execution_id, _ in tags],
        "tag_names": [tag for _, tag in tags],
        "to_start": [row.id for row in rows if _is_to_start(row)],
        "relay_after": FIRST_WAKE,
    }


def _session(on: Connected) -> AsyncSession:
    if not isinstance(on, AsyncSession):
        raise TypeError("A start with a parent or a budget has several statements.")
    return on


def _encode(column: KeyedColumnElement[Any], row: ExecutionRow) -> Any:
    """The value of a column as the driver sends it in an array."""
    value = getattr(row, column.name)
    if value is None:
        return None
    if isinstance(column.type, ARRAY):
        return to_json([clean(item) for item in value])
    if isinstance(column.type, JSON):
        return to_json(value)
    return clean(value) if isinstance(value, str) else value


def _complete(rows: Sequence[ExecutionRow], stored: Sequence[Any]) -> None:
    """Give new rows the values that Postgres has added, as a read would."""
    by_id = {found.id: found for found in stored}
    for row in rows:
        for column in _GIVEN:
            set_committed_value(row, column.name, getattr(row, column.name))
        for column in _GENERATED:
            set_committed_value(row, column.name, getattr(by_id[row.id], column.name))


async def _limit_to_parent(
    session: AsyncSession, parent_id: UUID, rows: Sequence[ExecutionRow]
) -> None:
    """Limit budgets to what is left of the parent's."""
    budgeted = [row for row in rows if row.budget_usd is not None]
    left = await budgets.find_left(session, parent_id) if budgeted else None
    for row in budgeted:
        if left is not None and row.budget_usd is not None:
            row.budget_usd = min(row.budget_usd, left)


def _is_to_start(row: ExecutionRow) -> bool:
    """Whether the relay starts the workflow, if nothing else does before."""
    is_running = row.first_run_id is not None
    is_pending = row.status == ExecutionStatus.PENDING
    return is_pending and not is_running and not row.is_started_by_parent


def _describe_created(row: ExecutionRow) -> dict[str, Any]:
    return {"status": row.status, "title": row.title, "trigger_type": row.trigger_type}


def _list_sources(row: ExecutionRow) -> dict[str, Any]:
    """The task, session and executions that it was made from."""
    sources = ("task_id", "session_id", "retry_of_id", "forked_from_id", "parent_execution_id")
    named = {name: str(value) for name in sources if (value := getattr(row, name)) is not None}
    return {**named, "task_version": row.task_version} if row.task_id else named


def make_start_request(row: ExecutionRow) -> StartRequest:
    """The request to start the workflow of an execution."""
    title = row.title if row.definition is None else INLINE_TITLE
    if row.executor == PLAN:
        title = PLAN_TITLE
    return read_as(StartRequest, row, execution_id=row.id, title=title)


def _row(start: Start, blocked_by: str | None) -> ExecutionRow:
    work = start.work
    definition = work.definition
    return ExecutionRow(
        id=start.id,
        user_id=start.user_id,
        task_id=work.task_id,
        task_version=work.task_version,
        definition=definition.to_json() if work.is_inline else None,
        notification_config=definition.notification_config,
        session_id=start.session_id,
        retry_of_id=start.retry_of_id,
        forked_from_id=start.forked_from_id,
        parent_execution_id=start.parent and start.parent.id,
        depth=start.parent.depth + 1 if start.parent else 0,
        title=work.title,
        agent_id=definition.agent_id,
        executor=work.executor or "claude",
        tags=list(work.tags),
        trigger_type=start.trigger_type,
        trigger_metadata=dict(start.trigger_metadata),
        prompt_variables={**start.known_variables, **start.variables},
        missing_variables=[] if start.rendered_prompt is not None else list(start.missing),
        warnings=list(start.warnings),
        rendered_prompt=_render_for_worker(start),
        status=ExecutionStatus.PENDING if blocked_by is None else ExecutionStatus.BLOCKED,
        status_reason=blocked_by,
        budget_usd=start.budget_usd or definition.sdk_options.max_budget_usd,
        priority=start.priority,
        **(_describe_queued(start) if work.executor == "external" else {}),
        deadline_at=start.deadline_at,
        workflow_id=start.workflow_id or workflow_id(start.id),
        first_run_id=start.first_run_id,
        event_seq=1,
    )


def _describe_queued(start: Start) -> dict[str, Any]:
    """The columns of external work. What follows from prerequisites is stored with these."""
    queue = start.queue
    source, now = queue.source or find_source(start.trigger_type), datetime.now(UTC)
    facts = PriorityFacts(
        base=start.priority,
        source=source,
        left_seconds=seconds_until(start.deadline_at, now),
        estimated_seconds=queue.estimated_duration_seconds,
    )
    calculated_priority, changes_at = compute(facts, now)
    return {
        "summary": queue.summary,
        "source": source,
        "estimated_duration_seconds": queue.estimated_duration_seconds,
        "input_data": queue.input_data,
        "calculated_priority": calculated_priority,
        "priority_changes_at": changes_at,
    }


def _render_for_worker(start: Start) -> str | None:
    """The prompt of an external execution. For Claude, the workflow renders it.

    If it needs results of a plan's steps, it is rendered when a worker claims it.
    """
    if start.work.executor != "external" or start.rendered_prompt is not None:
        return start.rendered_prompt
    definition = start.work.definition
    if start.trigger_type == STEP_TRIGGER and step_references(definition.prompt_template):
        return None
    variables = {**definition.default_variables, **start.known_variables, **start.variables}
    return templates.render(definition.prompt_template, variables).text
