"""Tools with which an agent plans work, claims it, reports it, and changes or ends it."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool
from api.mcp.tools.planned_tasks import (
    EXECUTE,
    OrchestratorResult,
    OwnArguments,
    PlannedTask,
    TaskArguments,
    view_task,
)
from api.mcp.views import View
from domain.errors import FieldProblem, InvalidInputError
from domain.executions.states import ExecutionStatus
from services.definitions.inline_work import make_title
from services.definitions.inputs import Name
from services.executions import control
from services.executions.inputs import CancelBody, FinishBody
from services.external_work import planning, stale_work
from services.external_work.planning import DescribedWork, PlanBody, StoredPlan, WorkUpdate
from services.external_work.stale_work import CleanUpBody
from services.field_types import Text

SubtaskList = Annotated[
    tuple[planning.PlannedSubtask, ...],
    Field(
        max_length=planning.MOST_SUBTASKS,
        description="Parts of the work. Their dependencies name keys or titles of other parts.",
    ),
]


class PlanTaskArguments(OwnArguments, DescribedWork):
    """The work to plan."""

    title: Annotated[Name | None, Field(description="Required without subtasks.")] = None
    parent_task_id: UUID | None = None
    dependencies: Annotated[
        tuple[UUID, ...], Field(description="Tasks that must be completed first.")
    ] = ()
    subtasks: SubtaskList = ()
    subtasks_json: Annotated[str | None, Field(description="The same as subtasks, as JSON.")] = None

    @model_validator(mode="after")
    def _has_title(self) -> "PlanTaskArguments":
        if self.title is None and not self.subtasks and self.subtasks_json is None:
            raise ValueError("Send a title.")
        return self

    def plan(self) -> PlanBody:
        """The plan to store."""
        given = self.model_dump(exclude_unset=True, exclude={"user_id", "subtasks_json"})
        given["title"] = self.title or make_title(self.description)
        if self.subtasks_json is not None:
            given["subtasks"] = _parse_subtasks(self.subtasks_json)
        return PlanBody.model_validate(given)


def _parse_subtasks(text: str) -> Sequence[planning.PlannedSubtask]:
    try:
        found = json.loads(text)
        items = found["subtasks"] if isinstance(found, dict) else list(found)
        return [planning.PlannedSubtask.model_validate(item) for item in items]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        hint = "This is not a JSON list of subtasks; send the list in subtasks."
        problem = FieldProblem(("body", "subtasks_json"), hint)
        raise InvalidInputError("The plan is invalid; see errors.", [problem]) from error


class PlannedTaskResult(PlannedTask, OrchestratorResult):
    """The stored task, with its parts if it has any."""

    subtasks: list[PlannedTask]
    execution_order: Annotated[
        list[list[UUID]],
        Field(description="Ids of the parts in batches: those of a batch can be done at once."),
    ]
    max_parallelism: int


async def _plan_task(context: ToolContext, arguments: PlanTaskArguments) -> PlannedTaskResult:
    async with context.transaction() as work:
        stored = await planning.plan(work, arguments.plan())
        return PlannedTaskResult(
            **dict(view_task(stored.row)),
            subtasks=[view_task(row) for row in stored.subtasks],
            execution_order=[list(batch) for batch in stored.batches],
            max_parallelism=max((len(batch) for batch in stored.batches), default=1),
            next_step=_describe_plan(stored),
        )


def _describe_plan(stored: StoredPlan) -> str:
    if stored.batches:
        return (
            f"The plan has started. Claim its parts with {EXECUTE}, in the order of "
            "execution_order. The plan is completed with its last part."
        )
    if stored.row.status == ExecutionStatus.BLOCKED:
        return "The task is stored. It becomes pending when its dependencies are completed."
    return f"The task is stored; no one works on it yet. Claim it with {EXECUTE}."


class ChangeWorkArguments(OwnArguments, WorkUpdate):
    """The changes to a task."""

    task_id: UUID


class UpdatedTask(PlannedTask, OrchestratorResult):
    """The task after the changes."""

    changes_applied: Annotated[list[str], Field(description="Names of the changed fields.")]


async def _update_task(context: ToolContext, arguments: ChangeWorkArguments) -> UpdatedTask:
    given = arguments.model_dump(exclude_unset=True, exclude={"task_id", "user_id"})
    async with context.transaction() as work:
        row, applied = await planning.update(
            work, arguments.task_id, WorkUpdate.model_validate(given)
        )
        return UpdatedTask(
            **dict(view_task(row)),
            changes_applied=list(applied),
            next_step=f"Claim the task with {EXECUTE} when it is pending.",
        )


class CancelTaskArguments(TaskArguments):
    """Which task to cancel, and why."""

    reason: Text | None = None
    preserve_work: Annotated[
        bool, Field(description="false: the artifacts of the task are deleted.")
    ] = True


class CancelledTask(OrchestratorResult):
    """The cancelled task."""

    task_id: UUID
    previous_status: ExecutionStatus
    status: ExecutionStatus
    reason: str | None
    work_preserved: bool
    artifact_count: Annotated[int, Field(description="How many artifacts are kept or deleted.")]
    cancelled_at: datetime | None


async def _cancel_task(context: ToolContext, arguments: CancelTaskArguments) -> CancelledTask:
    async with context.transaction() as work:
        body, keep = CancelBody(reason=arguments.reason), arguments.preserve_work
        cancelled = await planning.cancel(work, arguments.task_id, body, keep_work=keep)
        row, outcome = cancelled.row, "kept" if keep else "deleted"
        return CancelledTask(
            task_id=row.id,
            previous_status=cancelled.previous,
            status=ExecutionStatus(row.status),
            reason=row.cancel_reason,
            work_preserved=keep,
            artifact_count=cancelled.artifacts,
            cancelled_at=row.cancel_requested_at,
            next_step=f"It ends within moments, with its subtasks. Its artifacts are {outcome}.",
        )


class FinishTaskArguments(TaskArguments, FinishBody):
    """Which task to finish, and what the model should know for its answer."""


class FinishingTask(OrchestratorResult):
    """The task that was asked to finish."""

    task_id: UUID
    status: ExecutionStatus


async def _finish_task(context: ToolContext, arguments: FinishTaskArguments) -> FinishingTask:
    async with context.transaction() as work:
        body = FinishBody(message=arguments.message)
        row = await control.finish(work, arguments.task_id, body)
        return FinishingTask(
            task_id=row.id,
            status=ExecutionStatus(row.status),
            next_step="It answers with what it has. Read the answer with watch_execution.",
        )


class DeleteTaskArguments(TaskArguments):
    """Which task to delete."""

    force: Annotated[bool, Field(description="Also if other tasks depend on it.")] = False
    archive_instead: Annotated[
        bool,
        Field(
            description="false: also delete the texts, the result and the artifacts for good. An "
            "empty record stays for the audit log."
        ),
    ] = True


class DeletedTask(OrchestratorResult):
    """The deleted task."""

    task_id: UUID
    archived: Annotated[bool, Field(description="Whether its content is kept.")]
    was_cancelled: bool
    dependent_task_ids: list[UUID]


async def _delete_task(context: ToolContext, arguments: DeleteTaskArguments) -> DeletedTask:
    async with context.transaction() as work:
        erase = not arguments.archive_instead
        deleted = await planning.delete(work, arguments.task_id, force=arguments.force, erase=erase)
    return DeletedTask(
        task_id=deleted.row.id,
        archived=not erase,
        was_cancelled=deleted.was_cancelled,
        dependent_task_ids=[row.id for row in deleted.dependents],
        next_step="Queries no longer list the task. Its content is deleted."
        if erase
        else "Queries no longer list the task. get_execution still reads it.",
    )


class CleanUpArguments(OwnArguments, CleanUpBody):
    """After how many hours work is stale."""


class StaleTaskView(View):
    """A task that no one continues."""

    task_id: UUID
    title: str
    status: ExecutionStatus
    claimed_by: str | None
    active_at: Annotated[datetime, Field(description="When something last happened.")]
    action: stale_work.StaleAction


class CleanedUp(OrchestratorResult):
    """The stale tasks, and what was or would be done with them."""

    dry_run: bool
    stale_tasks: list[StaleTaskView]


async def _clean_up(context: ToolContext, arguments: CleanUpArguments) -> CleanedUp:
    given = arguments.model_dump(exclude={"user_id"})
    async with context.transaction() as work:
        found = await stale_work.clean_up(work, CleanUpBody.model_validate(given))
        views = [_view_stale(stale) for stale in found]
    if not views:
        step = "No task is stale."
    elif arguments.dry_run:
        step = "Nothing was changed. Call it again with dry_run false to apply the actions."
    else:
        step = "The actions were applied. Claim what returned to the queue, or leave it to others."
    return CleanedUp(dry_run=arguments.dry_run, stale_tasks=views, next_step=step)


def _view_stale(stale: stale_work.StaleWork) -> StaleTaskView:
    row = stale.row
    return StaleTaskView(
        task_id=row.id,
        title=row.title,
        status=ExecutionStatus(row.status),
        claimed_by=row.claimed_by,
        active_at=stale.active_at,
        action=stale.action,
    )


def _tool(name: str, title: str, description: str, **more: Any) -> AgentTool[Any, Any]:
    return AgentTool(name=name, group="orchestrator", title=title, description=description, **more)


PLAN_TASK = _tool(
    "orchestrator_plan_task",
    "Plan a task",
    "Store work for yourself or other workers, with a specialist who should do it. With subtasks, "
    "store a plan: its parts, their dependencies, and the order in which to do them. Dependencies "
    "must be completed before a task can be claimed. Nothing is done until "
    "orchestrator_execute_task claims it. For work that Perdure itself should run with Claude, use "
    "create_task and execute_task.",
    arguments=PlanTaskArguments,
    result=PlannedTaskResult,
    handler=_plan_task,
)

UPDATE_TASK = _tool(
    "orchestrator_update_task",
    "Change a planned task",
    "Change the title, description, specialist, complexity, effort, due date or context of a task "
    "that has not ended, or set a blocked task to pending. Other states follow from "
    "orchestrator_execute_task, orchestrator_complete_task and orchestrator_cancel_task.",
    arguments=ChangeWorkArguments,
    result=UpdatedTask,
    handler=_update_task,
    is_idempotent=True,
)

CANCEL_TASK = _tool(
    "orchestrator_cancel_task",
    "Cancel a task",
    "Cancel a task that has not ended, with its subtasks; tasks that wait for it fail. Its "
    "artifacts are kept, unless preserve_work is false. A worker that has claimed it is informed "
    "by the refusal of its report.",
    arguments=CancelTaskArguments,
    result=CancelledTask,
    handler=_cancel_task,
    is_destructive=True,
)

FINISH_TASK = _tool(
    "orchestrator_finish_task",
    "Finish a task early",
    "Ask a task that Claude runs to answer now with what it has. Calls that have not run do not "
    "run, and its subtasks are cancelled; the results of those that have ended are kept. Report "
    "work that you have claimed with orchestrator_complete_task instead.",
    arguments=FinishTaskArguments,
    result=FinishingTask,
    handler=_finish_task,
    is_destructive=True,
    is_idempotent=True,
)

DELETE_TASK = _tool(
    "orchestrator_delete_task",
    "Delete a planned task",
    "Leave a task out of later queries; if it has not ended, it is cancelled first. Its content is "
    "kept, unless archive_instead is false. Refused while other tasks depend on it, unless force "
    "is true: they then end too.",
    arguments=DeleteTaskArguments,
    result=DeletedTask,
    handler=_delete_task,
    is_destructive=True,
    is_idempotent=True,
)

CLEAN_UP_TASKS = _tool(
    "orchestrator_clean_up_tasks",
    "Clean up stale tasks",
    "List planned tasks in which nothing has happened for a day, and with dry_run false clean them "
    "up: what a worker has returns to the queue, and what was abandoned for three days is "
    "cancelled. Tasks that wait for others are not stale.",
    arguments=CleanUpArguments,
    result=CleanedUp,
    handler=_clean_up,
    is_destructive=True,
    is_idempotent=True,
)
