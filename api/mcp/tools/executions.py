"""Tools that start executions, read them and wait for them."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.http.paging import LAST_SEQ
from api.live_updates import Subscription
from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool, StartedWork, ToolArguments
from api.mcp.views import ArtifactView, View, shorten, view_artifact
from api.mcp.work import ExecutionOutcome, is_settled, own_columns, read_execution
from definitions.tasks import Usd
from domain.executions.states import ExecutionStatus
from persistence.db.paging import Window
from persistence.executions import events
from persistence.sessions import artifacts
from services.definitions.inputs import Name
from services.executions import starting
from services.executions.access import get_named_task
from services.executions.inputs import ExecuteBody
from services.field_types import Variables
from services.unit_of_work import UnitOfWork

LONGEST_WATCH_SECONDS = 55
"""Clients and proxies commonly give up after a minute."""

FALLBACK_SECONDS = 2.0
"""Interval of reads if a notification is lost (chosen)."""

SHOWN_EVENTS = 50
SHOWN_ARTIFACTS = 50

SHOWN_CHARACTERS = 10_000
"""Of a prompt (chosen: the model that reads it usually wrote its task)."""

IdempotencyKey = Annotated[
    Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] | None,
    Field(
        description="The same key and arguments within 24 hours start nothing again and return "
        "the first execution. Use a new UUID for new work."
    ),
]


class ExecuteTaskArguments(ToolArguments):
    """Which task to execute, and how."""

    task: Annotated[Name, Field(description="Id or exact name of a task (see list_tasks).")]
    variables: Annotated[
        Variables, Field(description="Values of the placeholders in the task's prompt.")
    ] = Field(default_factory=dict)
    session_id: Annotated[
        UUID | None, Field(description="Continue this conversation instead of starting one.")
    ] = None
    max_budget_usd: Annotated[Usd | None, Field(description="The most it may cost, in USD.")] = None
    idempotency_key: IdempotencyKey = None
    wait: Annotated[
        bool,
        Field(
            description="true: return the result, or the question it waits for. false: return at "
            "once; then use watch_execution. It runs on in both cases if you disconnect."
        ),
    ] = True


async def _execute_task(context: ToolContext, arguments: ExecuteTaskArguments) -> StartedWork:
    body = ExecuteBody(
        variables=arguments.variables,
        session_id=arguments.session_id,
        max_budget_usd=arguments.max_budget_usd,
    )

    async def start(work: UnitOfWork) -> UUID:
        task = await get_named_task(work.session, work.caller, arguments.task)
        return (await starting.start_stored_task(work, task, body)).id

    content = arguments.model_dump(mode="json", exclude={"idempotency_key", "wait"})
    execution_id = await context.start_once(arguments.idempotency_key, content, start)
    return StartedWork(execution_id, arguments.wait)


class GetExecutionArguments(ToolArguments):
    """Which execution to read."""

    execution_id: UUID


class ExecutionDetails(ExecutionOutcome):
    """An execution with its input and its files."""

    agent_id: str | None
    parent_execution_id: UUID | None
    variables: dict[str, Any]
    prompt: str | None
    tags: list[str]
    report_id: UUID | None
    artifacts: list[ArtifactView]


async def _get_execution(
    context: ToolContext, arguments: GetExecutionArguments
) -> ExecutionDetails:
    result = await read_execution(context, arguments.execution_id)
    columns = await own_columns(context, arguments.execution_id)
    async with context.reading() as session:
        page = await artifacts.page(session, arguments.execution_id, Window(SHOWN_ARTIFACTS))
    return ExecutionDetails(
        **dict(result),
        agent_id=columns["agent_id"],
        parent_execution_id=columns["parent_execution_id"],
        variables=columns["prompt_variables"],
        prompt=shorten(columns["rendered_prompt"], SHOWN_CHARACTERS),
        tags=columns["tags"],
        report_id=columns["report_id"],
        artifacts=[view_artifact(row) for row in page.rows],
    )


class WatchExecutionArguments(ToolArguments):
    """Which execution to wait for."""

    execution_id: UUID
    timeout_seconds: Annotated[
        float,
        Field(ge=0, le=LONGEST_WATCH_SECONDS, description="How long to wait at most."),
    ] = 25
    after: Annotated[
        int | None,
        Field(
            ge=0,
            le=LAST_SEQ,
            description="`after` of the previous result; leave it out the first time.",
        ),
    ] = None


class EventView(View):
    """Something that happened in an execution."""

    seq: int
    at: datetime
    type: str
    data: dict[str, Any]


class WatchResult(ExecutionOutcome):
    """The state of an execution, and what happened since `after`."""

    events: Annotated[
        list[EventView], Field(description=f"At most {SHOWN_EVENTS}, the latest, oldest first.")
    ]
    after: Annotated[int, Field(description="Pass it to the next watch_execution.")]


async def _watch_execution(context: ToolContext, arguments: WatchExecutionArguments) -> WatchResult:
    execution_id, after = arguments.execution_id, arguments.after or 0
    columns = await own_columns(context, execution_id)
    watcher, user_id = context.gateway.watcher, context.call.principal.user_id
    deadline = time.monotonic() + arguments.timeout_seconds
    with watcher.subscribe(execution_id, user_id) as watched:
        if not await _is_news(context, columns, after):
            await watcher.watch(execution_id)
            await _wait_for_news(context, watched, execution_id, after, deadline)
    await context.call.require_current_credentials()
    rows = await _read_latest_events(context, execution_id, after)
    result = await read_execution(context, execution_id)
    return WatchResult(
        **dict(result),
        events=[EventView(seq=r.seq, at=r.at, type=r.type, data=r.data) for r in rows],
        after=rows[-1].seq if rows else after,
    )


async def _wait_for_news(
    context: ToolContext, watched: Subscription, execution_id: UUID, after: int, deadline: float
) -> None:
    """Return when there is news. It may have come before the execution was watched."""
    while not await _is_news(context, await own_columns(context, execution_id), after):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        await watched.wait_for_change(min(left, FALLBACK_SECONDS))


async def _is_news(context: ToolContext, columns: Mapping[str, Any], after: int) -> bool:
    """Whether the model should act now: the execution has ended, or has come to need a person."""
    if ExecutionStatus(columns["status"]).is_terminal:
        return True
    return columns["event_seq"] > after and await is_settled(context, columns)


async def _read_latest_events(
    context: ToolContext, execution_id: UUID, after: int
) -> Sequence[SimpleNamespace]:
    last = (await own_columns(context, execution_id))["event_seq"]
    first = max(after, last - SHOWN_EVENTS)
    return await events.list_after(
        context.gateway.database, execution_id, first, limit=SHOWN_EVENTS
    )


EXECUTE_TASK = AgentTool(
    name="execute_task",
    group="default",
    title="Execute a task",
    description=(
        "Start a task of the user and return its result. Perdure runs it durably: it survives "
        "crashes and disconnects, can take days, and can wait for people. Find tasks with "
        "list_tasks; define a new one with create_task. By default the call waits until the task "
        "ends or needs a person; `status` and `next_step` say which. If it has not ended, continue "
        "with watch_execution and the returned execution_id. Pass an idempotency_key if you may "
        "repeat the call, so that the task starts only once."
    ),
    arguments=ExecuteTaskArguments,
    result=ExecutionOutcome,
    handler=_execute_task,
    is_open_world=True,
    starts_work=True,
)

GET_EXECUTION = AgentTool(
    name="get_execution",
    group="default",
    title="Get an execution",
    description=(
        "Read one execution: status, result or error, cost, prompt, open input requests and files. "
        "Returns at once; to wait for an execution use watch_execution. Read a file with "
        "get_artifact."
    ),
    arguments=GetExecutionArguments,
    result=ExecutionDetails,
    handler=_get_execution,
    is_read_only=True,
)

WATCH_EXECUTION = AgentTool(
    name="watch_execution",
    group="default",
    title="Wait for an execution",
    description=(
        "Wait until an execution ends or needs a person, at most timeout_seconds (25 by default, "
        "55 at most). Returns its state, what happened since `after`, the open input requests, and "
        "the result if it has ended. If `has_ended` is false, call it again with the returned "
        "`after`."
    ),
    arguments=WatchExecutionArguments,
    result=WatchResult,
    handler=_watch_execution,
    is_read_only=True,
)
