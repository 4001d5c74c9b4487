"""Tools of the queue with which an agent adds work for workers, reads it, and cancels it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool
from api.mcp.tools.planned_tasks import (
    EXECUTE,
    ArtifactReferenceView,
    OrchestratorResult,
    OwnArguments,
    TaskArguments,
    view_reference,
)
from api.mcp.views import View
from domain.errors import InvalidInputError
from domain.executions.priority import WorkSource
from domain.executions.states import ExecutionStatus
from persistence.executions import planned_work, queue_state
from persistence.executions.planned_work import WorkFilter
from persistence.tables.executions import ExecutionRow
from services.definitions.inputs import AgentId
from services.executions import control, starting
from services.executions.access import get_own_execution
from services.executions.inputs import (
    MOST_PREREQUISITES,
    CancelBody,
    Priority,
    QueueFields,
    WorkBody,
)
from services.external_work import pruning
from services.external_work.context import find_artifacts
from services.external_work.planning import ShortText, find_slug
from services.external_work.pruning import (
    FinishedStatuses,
    PrunedIds,
    PruneOptions,
    PruneWorkBody,
)
from services.field_types import Moment, Text
from services.validation_messages import refuse_field

LONGEST_DESCRIPTION = 10_000
"""Characters (chosen)."""

MOST_LISTED = 500
"""Tasks of one list (chosen)."""


class EnqueueArguments(QueueFields, OwnArguments):
    """The work to add to the queue."""

    description: Annotated[str, Field(min_length=1, max_length=LONGEST_DESCRIPTION, pattern=r"\S")]
    agent_type: Annotated[AgentId | None, Field(description="Who should do it.")] = None
    prerequisites: Annotated[
        tuple[UUID, ...],
        Field(max_length=MOST_PREREQUISITES, description="Tasks that must be completed first."),
    ] = ()
    base_priority: Priority = 5
    deadline: Moment | None = None
    parent_task_id: UUID | None = None
    session_id: UUID | None = None

    def work(self) -> WorkBody:
        """The execution to start."""
        return WorkBody(
            prompt=self.description,
            executor="external",
            agent_id=None if self.agent_type is None else find_slug(self.agent_type),
            prerequisites=list(self.prerequisites),
            priority=self.base_priority,
            deadline_at=self.deadline,
            parent_execution_id=self.parent_task_id,
            session_id=self.session_id,
            **{name: getattr(self, name) for name in QueueFields.model_fields},
        )


class EnqueuedTask(OrchestratorResult):
    """The stored work."""

    task_id: UUID
    status: ExecutionStatus
    calculated_priority: float | None
    dependency_depth: int


FIELDS: Mapping[str, str] = {
    "executor": "description",
    "prompt": "description",
    "agent_id": "agent_type",
    "priority": "base_priority",
    "deadline_at": "deadline",
    "parent_execution_id": "parent_task_id",
}
"""Fields of the service by the names of the arguments."""


async def _enqueue(context: ToolContext, arguments: EnqueueArguments) -> EnqueuedTask:
    try:
        async with context.transaction() as work:
            row = await starting.start_inline_work(work, arguments.work(), fails_unmeetable=True)
    except InvalidInputError as error:
        raise error.rename_fields(FIELDS) from error
    steps = {
        ExecutionStatus.BLOCKED: "It becomes pending when its prerequisites are completed.",
        ExecutionStatus.FAILED: "It failed at once: a prerequisite has failed or was cancelled.",
    }
    status = ExecutionStatus(row.status)
    return EnqueuedTask(
        task_id=row.id,
        status=status,
        calculated_priority=row.calculated_priority,
        dependency_depth=row.dependency_depth,
        next_step=steps.get(status, f"A worker can claim it; {EXECUTE} claims it for you."),
    )


class QueuedTask(View):
    """Work in the queue."""

    task_id: UUID
    summary: str | None
    status: ExecutionStatus
    status_reason: str | None
    source: str | None
    agent_type: str | None
    base_priority: int
    calculated_priority: float | None
    dependency_depth: int
    deadline: datetime | None
    estimated_duration_seconds: float | None
    parent_task_id: UUID | None
    claimed_by: str | None
    claimed_at: datetime | None
    lease_expires_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class WholeTask(QueuedTask, OrchestratorResult):
    """Work with its description, its input and its result."""

    description: str | None
    input_data: dict[str, Any] | None
    prerequisites: list[UUID]
    result: dict[str, Any] | None
    error_code: str | None
    error_message: str | None
    artifact_references: list[ArtifactReferenceView]


def _describe(row: ExecutionRow) -> dict[str, Any]:
    same = set(QueuedTask.model_fields) & set(ExecutionRow.__mapper__.columns.keys())
    return {
        **{name: getattr(row, name) for name in same},
        "task_id": row.id,
        "summary": row.summary or row.title,
        "agent_type": row.agent_id,
        "base_priority": row.priority,
        "deadline": row.deadline_at,
        "parent_task_id": row.parent_execution_id,
    }


async def _get(context: ToolContext, arguments: TaskArguments) -> WholeTask:
    async with context.reading() as session:
        row = await get_own_execution(session, context.caller, arguments.task_id)
        needed = await queue_state.list_prerequisites_of(session, row.id)
        files = await find_artifacts(session, [row.id])
    return WholeTask(
        **_describe(row),
        description=row.rendered_prompt,
        input_data=row.input_data,
        prerequisites=list(needed),
        result=row.result_data,
        error_code=row.error_code,
        error_message=row.error_message,
        artifact_references=[view_reference(file) for file in files.get(row.id, ())],
        next_step="get_artifact reads its artifacts; task_list lists other work.",
    )


class ListArguments(OwnArguments):
    """Filters."""

    status: ExecutionStatus | None = None
    exclude_status: ExecutionStatus | None = None
    source: WorkSource | None = None
    agent_type: ShortText | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 50

    def to_filter(self) -> WorkFilter:
        """The filters.

        Raises:
            InvalidInputError: the same status is asked for and excluded.
        """
        if self.status is not None and self.status is self.exclude_status:
            hint = "It is also status, so nothing matches; leave out one of the two."
            raise refuse_field("The filters are invalid; see errors.", "exclude_status", hint)
        statuses = [self.status] if self.status else list(ExecutionStatus)
        return WorkFilter(
            executors=["external"],
            statuses=[status for status in statuses if status is not self.exclude_status]
            if self.status or self.exclude_status
            else (),
            sources=[self.source] if self.source else (),
            agent_ids=[find_slug(self.agent_type)] if self.agent_type else (),
        )


class QueuedTasks(OrchestratorResult):
    """Work, newest first."""

    tasks: list[QueuedTask]
    total_count: int
    has_more: bool


async def _list(context: ToolContext, arguments: ListArguments) -> QueuedTasks:
    async with context.reading() as session:
        rows, total = await planned_work.search(
            session,
            context.caller.user_id,
            arguments.to_filter(),
            limit=arguments.limit,
            offset=0,
        )
    return QueuedTasks(
        tasks=[QueuedTask(**_describe(row)) for row in rows],
        total_count=total,
        has_more=total > len(rows),
        next_step="task_get shows one of them." if rows else "There is no such work.",
    )


class CancelArguments(TaskArguments):
    """Which work to cancel, and why."""

    reason: Text | None = None


class CancelledTasks(OrchestratorResult):
    """The work that ends: the cancelled task, its parts, and what waits for them."""

    cancelled_task_id: UUID
    cascaded_task_ids: list[UUID]
    total_cancelled: int


async def _cancel(context: ToolContext, arguments: CancelArguments) -> CancelledTasks:
    async with context.transaction() as work:
        row = await get_own_execution(work.session, work.caller, arguments.task_id)
        affected = await queue_state.list_affected(work.session, row.id)
        await control.cancel(work, row.id, CancelBody(reason=arguments.reason))
    return CancelledTasks(
        cancelled_task_id=row.id,
        cascaded_task_ids=list(affected),
        total_cancelled=1 + len(affected),
        next_step="It ends within moments. Its parts are cancelled, and what waits for it fails.",
    )


class PruneArguments(PruneOptions, OwnArguments):
    """Which finished work to prune."""

    task_ids: PrunedIds = ()
    status: FinishedStatuses = ()


class PrunedTasks(OrchestratorResult):
    """The finished work that is or would be pruned, the oldest first, at most 100 trees."""

    dry_run: bool
    pruned_task_ids: list[UUID]
    total_pruned: int


async def _prune(context: ToolContext, arguments: PruneArguments) -> PrunedTasks:
    options = {name: getattr(arguments, name) for name in PruneOptions.model_fields}
    body = PruneWorkBody(execution_ids=arguments.task_ids, statuses=arguments.status, **options)
    try:
        async with context.transaction() as work:
            rows = await pruning.prune(work, body)
    except InvalidInputError as error:
        raise error.rename_fields({"execution_ids": "task_ids", "statuses": "status"}) from error
    if not rows:
        step = "No finished work matches."
    elif arguments.dry_run:
        step = "Nothing was changed. Call it again with dry_run false to prune these tasks."
    else:
        step = "These tasks are left out of lists and counts. Call it again for further ones."
    return PrunedTasks(
        dry_run=arguments.dry_run,
        pruned_task_ids=[row.id for row in rows],
        total_pruned=len(rows),
        next_step=step,
    )


def _tool(name: str, title: str, description: str, **more: Any) -> AgentTool[Any, Any]:
    return AgentTool(name=name, group="queue", title=title, description=description, **more)


ENQUEUE = _tool(
    "task_enqueue",
    "Add work to the queue",
    "Add work that a worker (a person, a script or another agent) claims from the queue. Work with "
    "prerequisites waits until all of them are completed, and fails if one of them fails. The "
    "order follows from base_priority, deadline, source, and how much other work waits for it. For "
    "work that Perdure itself should run with Claude, use create_task and execute_task.",
    arguments=EnqueueArguments,
    result=EnqueuedTask,
    handler=_enqueue,
)
GET = _tool(
    "task_get",
    "Read work of the queue",
    "Read one task of the queue: its description and input, its state, who has it, its result.",
    arguments=TaskArguments,
    result=WholeTask,
    handler=_get,
    is_read_only=True,
)
LIST = _tool(
    "task_list",
    "List work of the queue",
    "List work of the queue, newest first, by status, source or agent_type.",
    arguments=ListArguments,
    result=QueuedTasks,
    handler=_list,
    is_read_only=True,
)
CANCEL = _tool(
    "task_cancel",
    "Cancel work of the queue",
    "Cancel work that has not ended, with its parts; work that waits for it fails. Ended tasks "
    "stay as they are. The worker that has claimed it is asked to stop.",
    arguments=CancelArguments,
    result=CancelledTasks,
    handler=_cancel,
    is_destructive=True,
)
PRUNE = _tool(
    "task_prune",
    "Prune finished work of the queue",
    "Lists finished work by ids, status or age, and with dry_run false leaves it out of lists and "
    "counts; with erase, its texts, results and artifacts are deleted. Parts are pruned with the "
    "task that they are parts of, and only if all of them have ended, and all that waits for them.",
    arguments=PruneArguments,
    result=PrunedTasks,
    handler=_prune,
    is_destructive=True,
    is_idempotent=True,
)
