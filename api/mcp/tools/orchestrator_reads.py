"""Tools that read planned work: queries, the state of the queue, and the results of a plan."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool
from api.mcp.tools.planned_tasks import (
    EXECUTE,
    PLAN,
    ArtifactReferenceView,
    OrchestratorResult,
    OwnArguments,
    PlannedTask,
    ProgressView,
    view_progress,
    view_reference,
    view_task,
)
from api.mcp.views import View
from domain.executions.external_work import ArtifactReference, shorten
from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.executions import planned_work
from persistence.executions.planned_work import WorkFilter
from persistence.tables.executions import ExecutionRow
from services.executions.access import get_own_execution
from services.external_work.context import find_artifacts
from services.external_work.planning import Complexity, ShortText, find_slug
from services.field_types import Moment

LISTED = 100
"""Tasks that `orchestrator_get_status` lists: those that have not ended (chosen)."""

ALIASES = {"in_progress": ExecutionStatus.RUNNING, "active": ExecutionStatus.RUNNING}
"""States by the names of other orchestrators."""

Strings = Annotated[tuple[ShortText, ...], Field(max_length=20)]


class QueryTasksArguments(OwnArguments):
    """Filters and page."""

    status: Annotated[Strings, Field(description="pending, running, completed, failed …")] = ()
    specialist_type: Strings = ()
    complexity: Annotated[tuple[Complexity, ...], Field(max_length=5)] = ()
    parent_task_id: UUID | None = None
    search_text: Annotated[
        str | None, Field(max_length=200, description="Text in title, description or summary.")
    ] = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    include_children: Annotated[
        bool, Field(description="false: only tasks that are not parts of others.")
    ] = True
    include_artifacts: bool = False
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    offset: Annotated[int, Field(ge=0, le=100_000)] = 0

    def to_filter(self) -> WorkFilter:
        """The filters."""
        return WorkFilter(
            statuses=[ALIASES.get(status, status) for status in self.status],
            agent_ids=[find_slug(name) for name in self.specialist_type],
            complexities=self.complexity,
            parent_id=self.parent_task_id,
            text=self.search_text,
            created_after=self.created_after,
            created_before=self.created_before,
            include_children=self.include_children,
        )


class TaskPage(OrchestratorResult):
    """A page of tasks, newest first."""

    tasks: list[PlannedTask]
    total_count: int
    has_more: bool
    filters_applied: list[str]


async def _query_tasks(context: ToolContext, arguments: QueryTasksArguments) -> TaskPage:
    limit, offset = arguments.limit, arguments.offset
    async with context.reading() as session:
        rows, total = await planned_work.search(
            session, context.caller.user_id, arguments.to_filter(), limit=limit, offset=offset
        )
        files: Mapping[UUID, Sequence[ArtifactReference]] = {}
        if arguments.include_artifacts:
            files = await find_artifacts(session, [row.id for row in rows])
    not_filters = {"limit", "offset", "user_id", "include_artifacts"}
    return TaskPage(
        tasks=[view_task(row, files.get(row.id, ())) for row in rows],
        total_count=total,
        has_more=offset + len(rows) < total,
        filters_applied=sorted(arguments.model_fields_set - not_filters),
        next_step=f"Claim a pending task with {EXECUTE}."
        if rows
        else f"No task matches; plan one with {PLAN}.",
    )


class GetStatusArguments(OwnArguments):
    """No arguments are needed."""


class QueueState(OrchestratorResult):
    """How many tasks are in each state, and those that have not ended."""

    counts: dict[str, int]
    total: int
    active_tasks: list[PlannedTask]
    next_recommended_task: PlannedTask | None


async def _get_status(context: ToolContext, _: GetStatusArguments) -> QueueState:
    user_id = context.caller.user_id
    unfinished = [status for status in ExecutionStatus if status not in TERMINAL]
    async with context.reading() as session:
        counts = await planned_work.count_by_status(session, user_id)
        rows, _total = await planned_work.search(
            session, user_id, WorkFilter(statuses=unfinished), limit=LISTED, offset=0
        )
        following = await planned_work.find_next(session, user_id, None)
    return QueueState(
        counts=dict(counts),
        total=sum(counts.values()),
        active_tasks=[view_task(row) for row in rows],
        next_recommended_task=None if following is None else view_task(following),
        next_step="No task can be claimed now."
        if following is None
        else f"Continue with {following.title!r}: {EXECUTE} with task_id {following.id}.",
    )


class SynthesizeArguments(OwnArguments):
    """Which plan."""

    parent_task_id: UUID


class OutcomeView(View):
    """How a part of a plan ended."""

    task_id: UUID
    title: str
    status: ExecutionStatus
    summary: str | None
    result: str | None
    error_message: str | None
    started_at: datetime | None
    completed_at: datetime | None


class MetricsView(View):
    """Counts and times of a plan."""

    completed: int
    failed: int
    cancelled: int
    open: int
    first_started_at: datetime | None
    last_completed_at: datetime | None
    seconds: Annotated[float | None, Field(description="From the first start to the last end.")]


class Synthesis(OrchestratorResult):
    """The results of all parts of a task."""

    parent: PlannedTask
    progress: ProgressView | None
    outcomes: list[OutcomeView]
    artifacts: list[ArtifactReferenceView]
    metrics: MetricsView
    timeline: Annotated[list[str], Field(description="Starts and ends, oldest first.")]
    failed_subtasks: list[UUID]


async def _synthesize(context: ToolContext, arguments: SynthesizeArguments) -> Synthesis:
    async with context.reading() as session:
        parent = await get_own_execution(session, context.caller, arguments.parent_task_id)
        rows = await planned_work.list_children(session, parent.id)
        files = await find_artifacts(session, [parent.id, *(row.id for row in rows)])
        progress = await planned_work.count_children(session, parent.id)
    metrics = _measure(rows)
    return Synthesis(
        parent=view_task(parent, files.get(parent.id, ())),
        progress=view_progress(progress),
        outcomes=[_describe_outcome(row) for row in rows],
        artifacts=[view_reference(file) for row in rows for file in files.get(row.id, ())],
        metrics=metrics,
        timeline=_list_times(rows),
        failed_subtasks=[row.id for row in rows if row.status == ExecutionStatus.FAILED],
        next_step="Some parts have not ended; complete them first."
        if metrics.open
        else "Combine the results, and report them to the user.",
    )


def _describe_outcome(row: ExecutionRow) -> OutcomeView:
    text = (row.result_data or {}).get("text")
    return OutcomeView(
        task_id=row.id,
        result=shorten(text) if isinstance(text, str) else None,
        **{name: getattr(row, name) for name in _OUTCOME},
    )


_OUTCOME = ("title", "status", "summary", "error_message", "started_at", "completed_at")


def _measure(rows: Sequence[ExecutionRow]) -> MetricsView:
    counted = [ExecutionStatus(row.status) for row in rows]
    starts = [row.started_at for row in rows if row.started_at]
    ends = [row.completed_at for row in rows if row.completed_at]
    first, last = min(starts, default=None), max(ends, default=None)
    return MetricsView(
        completed=counted.count(ExecutionStatus.COMPLETED),
        failed=counted.count(ExecutionStatus.FAILED),
        cancelled=counted.count(ExecutionStatus.CANCELLED),
        open=sum(not status.is_terminal for status in counted),
        first_started_at=first,
        last_completed_at=last,
        seconds=(last - first).total_seconds() if first and last else None,
    )


def _list_times(rows: Sequence[ExecutionRow]) -> list[str]:
    moments = [(row.started_at, "started", row) for row in rows if row.started_at]
    moments += [(row.completed_at, row.status, row) for row in rows if row.completed_at]
    moments.sort(key=lambda moment: moment[0])
    return [f"{at.astimezone(UTC):%F %T} UTC {what}: {row.title}" for at, what, row in moments]


def _tool(name: str, title: str, description: str, **more: Any) -> AgentTool[Any, Any]:
    return AgentTool(
        name=name,
        group="orchestrator",
        title=title,
        description=description,
        is_read_only=True,
        **more,
    )


QUERY_TASKS = _tool(
    "orchestrator_query_tasks",
    "Find planned tasks",
    "List your planned tasks, newest first, by state, specialist, complexity, parent, text or time "
    "of creation; with include_artifacts also their stored files. Continue with offset while "
    "has_more is true.",
    arguments=QueryTasksArguments,
    result=TaskPage,
    handler=_query_tasks,
)

GET_STATUS = _tool(
    "orchestrator_get_status",
    "Get the state of planned work",
    "How many planned tasks are in each state, the tasks that have not ended, and the task that "
    "can be claimed next. Use it to continue after a break.",
    arguments=GetStatusArguments,
    result=QueueState,
    handler=_get_status,
)

SYNTHESIZE_RESULTS = _tool(
    "orchestrator_synthesize_results",
    "Collect the results of a plan",
    "The outcomes, artifacts, counts, times and failures of all parts of a task, from what workers "
    "have reported. Use it when all parts have ended.",
    arguments=SynthesizeArguments,
    result=Synthesis,
    handler=_synthesize,
)
