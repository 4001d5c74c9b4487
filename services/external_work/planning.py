"""Plans of orchestrators: external executions with parts, changed and archived by their ids."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from domain.agents.agent import SPECIALISTS
from domain.errors import ConflictError, FieldProblem, InvalidInputError
from domain.executions.states import ExecutionStatus
from domain.plans.graphs import order_in_batches
from domain.plans.plan import KEY, LONGEST_KEY
from persistence.executions import planned_work
from persistence.executions.stored_work import MOST_ARTIFACTS
from persistence.plans import plans as stored_plans
from persistence.sessions import artifacts
from persistence.tables.executions import ExecutionRow
from services.definitions import inline_work
from services.definitions.inputs import AgentId, Name, Prompt
from services.executions import control, starting
from services.executions.access import get_own_execution, require_active
from services.executions.inputs import MOST_PREREQUISITES, CancelBody, WorkBody
from services.external_work.claims import require_agent
from services.field_types import Body, Variables
from services.plans import plans
from services.plans import starting as plan_starts
from services.plans.inputs import PlanCreate, PlanStepBody
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

MOST_SUBTASKS = 100
"""Parts of one plan (as many as an execution may have)."""

LONGEST_GOAL = 10_000
"""Of the goal of a plan, in characters (`services.field_types.Text`)."""

METADATA_FIELDS = ("complexity", "estimated_effort", "due_date", "context", "specialist_type")
"""Fields that are stored in `trigger_metadata`."""

Complexity = Literal["trivial", "simple", "moderate", "complex", "very_complex"]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]


class DescribedWork(Body):
    """What work is about, without a title."""

    description: Prompt
    specialist_type: AgentId = "generic"
    complexity: Complexity = "moderate"
    estimated_effort: ShortText | None = None
    due_date: ShortText | None = None
    context: Variables = Field(default_factory=dict)


class PlannedWork(DescribedWork):
    """What one execution of a plan is about."""

    title: Name


class PlannedSubtask(PlannedWork):
    """A part of a plan. `dependencies` are keys or titles of other parts."""

    key: ShortText | None = None
    dependencies: Annotated[tuple[ShortText, ...], Field(max_length=MOST_SUBTASKS)] = ()


class PlanBody(PlannedWork):
    """Work to plan. `dependencies` are executions that must be completed first."""

    parent_task_id: UUID | None = None
    dependencies: Annotated[tuple[UUID, ...], Field(max_length=MOST_PREREQUISITES)] = ()
    subtasks: Annotated[tuple[PlannedSubtask, ...], Field(max_length=MOST_SUBTASKS)] = ()


class WorkUpdate(Body):
    """Changes to planned work. `status` can only be `pending`, for work that its worker blocked."""

    title: Name | None = None
    description: Prompt | None = None
    status: ShortText | None = None
    specialist_type: AgentId | None = None
    complexity: Complexity | None = None
    estimated_effort: ShortText | None = None
    due_date: ShortText | None = None
    context: Variables | None = None


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A planned execution with its parts, and these in batches that can be worked on at once."""

    row: ExecutionRow
    subtasks: Sequence[ExecutionRow] = ()
    batches: Sequence[Sequence[UUID]] = ()


@dataclass(frozen=True, slots=True)
class DeletedWork:
    """Work that no query finds anymore, and whether it was cancelled for that."""

    row: ExecutionRow
    was_cancelled: bool
    dependents: Sequence[ExecutionRow]


@dataclass(frozen=True, slots=True)
class CancelledWork:
    """Work whose cancellation was requested, its status before, and how many artifacts it had."""

    row: ExecutionRow
    previous: ExecutionStatus
    artifacts: int


async def plan(work: UnitOfWork, body: PlanBody) -> StoredPlan:
    """Store an external execution; with parts, start a plan of which they are the steps."""
    if body.subtasks:
        return await _start_plan(work, body)
    parent = await starting.find_parent(work, body.parent_task_id, field="parent_task_id")
    return StoredPlan(await _start(work, body, body.dependencies, parent))


async def _start_plan(work: UnitOfWork, body: PlanBody) -> StoredPlan:
    """Start a plan of external steps; its execution is the parent of theirs."""
    _refuse_outer_relations(body)
    parts = _find_keys(body.subtasks)
    dependencies = {
        key: [_resolve(name, parts, key) for name in part.dependencies]
        for key, part in parts.items()
    }
    batches = order_in_batches(dependencies, field="subtasks")
    keys = {name: _make_key(name, number) for number, name in enumerate(parts, 1)}
    steps = [
        _make_step(keys[name], part, [keys[other] for other in dependencies[name]])
        for name, part in parts.items()
    ]
    draft_id = await _create_draft(work, body, steps)
    started = await plan_starts.start_plan(work, draft_id)
    ids = {step.key: step.execution_id for step in started.steps}
    row = await _describe(work, started.row.execution_id, body)
    made = {name: await _describe(work, ids[keys[name]], part) for name, part in parts.items()}
    ordered = [made[name] for batch in batches for name in batch]
    return StoredPlan(row, ordered, [[made[name].id for name in batch] for batch in batches])


def _refuse_outer_relations(body: PlanBody) -> None:
    """A plan has neither a parent nor prerequisites."""
    if body.parent_task_id is not None or body.dependencies:
        field = "parent_task_id" if body.parent_task_id is not None else "dependencies"
        hint = "A task with subtasks is a plan of its own; leave this out, or plan them one by one."
        raise refuse_field("The plan is invalid; see errors.", field, hint)


async def _create_draft(work: UnitOfWork, body: PlanBody, steps: list[PlanStepBody]) -> UUID:
    """Store the plan; what is wrong with its steps is reported for the fields of the parts."""
    given = PlanCreate(title=body.title, goal=body.description[:LONGEST_GOAL], steps=steps)
    try:
        return (await plans.create_plan(work, given)).id
    except InvalidInputError as error:
        raise error.rename_fields(_STEP_FIELDS) from error


def _make_key(name: str, number: int) -> str:
    """The key of a step: the one that was given, if it can be one."""
    return name if re.fullmatch(KEY, name) and len(name) <= LONGEST_KEY else f"step-{number}"


def _make_step(key: str, part: PlannedSubtask, depends_on: Sequence[str]) -> PlanStepBody:
    return PlanStepBody(
        key=key,
        title=part.title,
        prompt=part.description,
        agent_id=find_slug(part.specialist_type),
        executor="external",
        depends_on=tuple(depends_on),
    )


_STEP_FIELDS = {"steps": "subtasks", "prompt": "description", "agent_id": "specialist_type"}
"""Fields of a plan by their names in the request."""


async def _describe(
    work: UnitOfWork, execution_id: UUID | None, planned: PlannedWork
) -> ExecutionRow:
    """Store what an orchestrator knows about a step or a plan with its execution."""
    row = await work.session.get_one(ExecutionRow, execution_id)
    metadata = planned.model_dump(mode="json", include={*METADATA_FIELDS, "description"})
    await planned_work.change(work.session, row, columns={}, metadata=metadata)
    return row


def _find_keys(subtasks: Sequence[PlannedSubtask]) -> Mapping[str, PlannedSubtask]:
    keys: dict[str, PlannedSubtask] = {}
    for subtask in subtasks:
        key = subtask.key or subtask.title
        if key in keys:
            hint = f"Two subtasks are named {key!r}; give each its own key."
            raise refuse_field("The plan is invalid; see errors.", "subtasks", hint)
        keys[key] = subtask
    return keys


def _resolve(name: str, keys: Mapping[str, PlannedSubtask], of: str) -> str:
    """Return the key of a dependency, which is named by its key or its title."""
    if name in keys:
        return name
    titled = [key for key, subtask in keys.items() if subtask.title == name]
    if len(titled) == 1:
        return titled[0]
    hint = f"Subtask {of!r} depends on {name!r}, which is no key and no single title of a subtask."
    raise InvalidInputError(
        "The plan is invalid; see errors.", [FieldProblem(("body", "subtasks"), hint, "unknown")]
    )


async def _start(
    work: UnitOfWork,
    planned: PlannedWork,
    prerequisites: Sequence[UUID],
    parent: ExecutionRow | None,
) -> ExecutionRow:
    body = WorkBody(
        title=planned.title,
        prompt=planned.description,
        agent_id=find_slug(planned.specialist_type),
        executor="external",
        allowed_tools=(),
        prerequisites=list(prerequisites),
        trigger_metadata=planned.model_dump(mode="json", include=set(METADATA_FIELDS)),
    )
    start = starting.make_start(
        work,
        await inline_work.define_work(work, body),
        body,
        variables=inline_work.choose_variables(body),
        action="execution.create",
        parent=parent,
    )
    return await starting.start_execution(work, start)


def find_slug(specialist_type: str) -> str:
    """The agent for a name of a specialist."""
    return SPECIALISTS.get(specialist_type, specialist_type)


async def update(
    work: UnitOfWork, execution_id: UUID, body: WorkUpdate
) -> tuple[ExecutionRow, Sequence[str]]:
    """Change planned work; returns the names of the fields that have changed.

    Raises:
        ExecutionTerminalError: it has ended.
        ConflictError: a worker has it, so its description can't change.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    require_active(row)
    given = body.model_fields_set
    if row.executor != "external":
        raise ConflictError("Perdure runs this execution; only external work can be changed.")
    if row.status == ExecutionStatus.RUNNING and given & {"description", "specialist_type"}:
        raise ConflictError(
            f"{row.claimed_by} works on this; change its description after it is released."
        )
    if body.specialist_type is not None:
        await require_agent(work.session, work.caller, find_slug(body.specialist_type))
    columns, metadata = _list_changes(row, body)
    applied = sorted(given & {*_FIELDS, *metadata})
    await planned_work.change(work.session, row, columns=columns, metadata=metadata)
    await stored_plans.change_step(work.session, row)
    if body.status is not None:
        applied += await _change_status(work, row, body.status)
    after = {"changed": applied}
    entity = ("execution", row.id)
    await work.record_audit("execution.update", entity, after=after, owner_id=row.user_id)
    return row, applied


_FIELDS = ("title", "description", "specialist_type")


def _list_changes(row: ExecutionRow, body: WorkUpdate) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns and the metadata that an update changes."""
    columns: dict[str, Any] = {}
    if body.title is not None:
        columns["title"] = body.title
    if body.description is not None:
        columns["rendered_prompt"] = body.description
        if (row.definition or {}).get("prompt_template") == inline_work.VERBATIM:
            columns["prompt_variables"] = {inline_work.MESSAGE: body.description}
    if body.specialist_type is not None:
        slug = find_slug(body.specialist_type)
        columns["agent_id"] = slug
        if row.definition is not None:
            columns["definition"] = {**row.definition, "agent_id": slug}
    fields = body.model_dump(mode="json", include=set(METADATA_FIELDS), exclude_none=True)
    return columns, fields


async def _change_status(work: UnitOfWork, row: ExecutionRow, status: str) -> list[str]:
    """Resume blocked work. No other status is set directly: the record decides."""
    if status == row.status:
        return []
    if status != ExecutionStatus.PENDING or row.status == ExecutionStatus.RUNNING:
        hint = (
            "Only blocked work can be set to pending. Claim work with orchestrator_execute_task, "
            "end it with orchestrator_complete_task, cancel it with orchestrator_cancel_task."
        )
        raise refuse_field("The status can't be changed like this; see errors.", "status", hint)
    await control.resume(work, row.id)
    await work.session.refresh(row)
    return ["status"]


async def cancel(
    work: UnitOfWork, execution_id: UUID, body: CancelBody, *, keep_work: bool
) -> CancelledWork:
    """Cancel work and its parts; without `keep_work` its artifacts are deleted.

    Raises:
        ExecutionTerminalError: it has ended.
    """
    row = await get_own_execution(work.session, work.caller, execution_id)
    previous = ExecutionStatus(row.status)
    row = await control.cancel(work, execution_id, body)
    if keep_work:
        kept = await artifacts.list_newest(work.session, [row.id], limit=MOST_ARTIFACTS)
        return CancelledWork(row, previous, len(kept))
    return CancelledWork(row, previous, await _delete_artifacts(work, row))


async def _delete_artifacts(work: UnitOfWork, row: ExecutionRow) -> int:
    count = await artifacts.delete_all(work.session, row.id)
    work.services.storage.forget(row.user_id)
    entity = ("execution", row.id)
    after = {"artifacts_deleted": count}
    await work.record_audit("execution.delete_artifacts", entity, after=after, owner_id=row.user_id)
    return count


async def delete(
    work: UnitOfWork, execution_id: UUID, *, force: bool, erase: bool = False
) -> DeletedWork:
    """Leave work out of later queries; work that has not ended is cancelled. A repeat is harmless.

    With `erase` its texts, result and artifacts are deleted too. An empty record stays, because the
    audit log and other work refer to it.

    Raises:
        ConflictError: other work depends on it, and `force` is not set; names it.
    """
    row = await get_own_execution(work.session, work.caller, execution_id)
    dependents = await planned_work.list_dependents(work.session, row.id)
    if dependents and not force:
        listed = ", ".join(f"{other.title!r} ({other.id})" for other in dependents[:5])
        raise ConflictError(
            f"Other work depends on this: {listed}. Delete it with force to end that too."
        )
    was_cancelled = not ExecutionStatus(row.status).is_terminal
    if was_cancelled:
        await control.cancel(work, execution_id, CancelBody(reason="deleted by the orchestrator"))
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    archived_at = {"archived_at": row.archived_at or datetime.now(UTC)}
    await planned_work.change(work.session, row, columns=archived_at, metadata={})
    if erase:
        await _delete_artifacts(work, row)
        await planned_work.erase(work.session, row)
        await stored_plans.erase(work.session, row.id, planned_work.ERASED)
    await work.record_audit(
        "execution.delete" if erase else "execution.archive",
        ("execution", row.id),
        after={"force": force},
        owner_id=row.user_id,
    )
    return DeletedWork(row, was_cancelled, dependents)
