"""Waits for executions on behalf of tools, and words what a model should do next."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.http import metrics
from api.mcp.context import ToolContext
from api.mcp.registry import ToolResult
from api.mcp.views import (
    AnsweredView,
    ExecutionView,
    RequestView,
    answered_requests,
    open_requests,
    view_execution,
)
from domain.errors import RateLimitedError
from domain.executions.states import ExecutionStatus
from persistence.executions.cached_reads import SETTLED
from services.caller import missing

PROGRESS_SECONDS = 5.0
"""Between two progress notifications. Claude Code gives up after 300 s without one."""

WAIT_SECONDS = 50.0
"""How long a call waits for a client that asked for no progress: many give up after a minute."""

LONGEST_WAIT_SECONDS = 3600.0
"""How long a call waits with progress notifications, after which the client asks again (chosen)."""


ANSWERED_SECONDS = 0.1
"""Between two reads of an execution whose request is answered (chosen: it continues at once)."""

WAITING = frozenset({ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.WAITING_FOR_SUBTASK})
"""States in which a person may have to answer: to the execution, or to one of its subtasks."""


class ExecutionOutcome(ExecutionView, ToolResult):
    """An execution, and the requests in it that wait for an answer."""

    input_requests: list[RequestView]
    answered_requests: Annotated[
        list[AnsweredView], Field(description="What people answered, the latest last.")
    ]


async def read_execution(context: ToolContext, execution_id: UUID) -> ExecutionOutcome:
    """The current state of an execution of the caller.

    Raises:
        NotFoundError: the caller has no such execution.
    """
    view = view_execution(await own_columns(context, execution_id))
    requests: Sequence[RequestView] = ()
    answered: Sequence[AnsweredView] = ()
    if view.status in WAITING:
        requests = await open_requests(context, execution_id)
    if view.started_at is not None:
        answered = await answered_requests(context, execution_id)
    return ExecutionOutcome(
        **dict(view),
        input_requests=list(requests),
        answered_requests=list(answered),
        next_step=describe_next_step(view, requests),
    )


async def own_columns(context: ToolContext, execution_id: UUID) -> Mapping[str, Any]:
    """The columns of an execution of the caller.

    Raises:
        NotFoundError: the caller has no such execution.
    """
    columns = await context.gateway.cached_reads.execution(execution_id)
    if columns is None:
        raise missing("execution", execution_id)
    context.caller.require_own(columns["user_id"], "execution", execution_id)
    return columns


def describe_next_step(view: ExecutionView, requests: Sequence[RequestView]) -> str:
    """What a model should do with an execution in this state."""
    match view.status:
        case ExecutionStatus.COMPLETED:
            return "The execution has completed: use `result`. get_execution lists its files."
        case ExecutionStatus.FAILED:
            return (
                "The execution has failed: `error_message` says why. Correct the cause and start "
                "it again with execute_task, or report the failure to the user."
            )
        case ExecutionStatus.CANCELLED:
            return "The execution was cancelled: report it to the user; don't start it again."
        case status if status is ExecutionStatus.WAITING_FOR_USER or requests:
            return _describe_requests(requests)
        case ExecutionStatus.PAUSED:
            return (
                "A person has paused the execution. Report it to the user; after it is resumed, "
                "wait for it with watch_execution."
            )
        case _:
            return (
                "The execution has not ended. Wait for it with watch_execution and this "
                "execution_id; it continues without you too."
            )


def _describe_requests(requests: Sequence[RequestView]) -> str:
    questions = [one for one in requests if not one.needs_person]
    decisions = [one for one in requests if one.needs_person]
    steps = []
    if questions:
        steps.append(
            "The execution asks a question: answer it with answer_input_request, in the words of "
            f"the user, or give the user this link: {questions[0].url}."
        )
    if decisions:
        steps.append(
            f"A person must decide about a {decisions[0].kind} request: give the user this link: "
            f"{decisions[0].url}. Don't decide it yourself."
        )
    if not steps:
        steps.append("The execution waits for a person who has been notified.")
    return " ".join([*steps, "Then wait with watch_execution."])


def wait_limit(context: ToolContext) -> float:
    """How many seconds a call may wait."""
    return LONGEST_WAIT_SECONDS if context.wants_progress else WAIT_SECONDS


async def await_settled(context: ToolContext, execution_id: UUID) -> None:
    """Return when the execution has ended or needs the client, or when the client should ask again.

    Progress is reported meanwhile.
    """
    limit = wait_limit(context)
    try:
        context.call.become_stream()
    except RateLimitedError:
        return
    began = reported = time.monotonic()
    with metrics.WAITS.track_inprogress():
        while (now := time.monotonic()) < began + limit:
            columns = await own_columns(context, execution_id)
            if await is_settled(context, columns):
                return
            if now - reported >= PROGRESS_SECONDS:
                reported = now
                await context.report_progress(round(now - began, 1), describe_progress(columns))
            await _wait_for_change(context, columns, min(PROGRESS_SECONDS, began + limit - now))
            await context.call.require_current_credentials()


async def is_settled(context: ToolContext, columns: Mapping[str, Any]) -> bool:
    """Whether the execution has ended, is paused, or waits for an answer.

    After an answer it still has the status `waiting_for_user` until its workflow continues.
    """
    if columns["status"] in WAITING:
        return bool(await open_requests(context, columns["id"]))
    return columns["status"] in SETTLED


async def _wait_for_change(
    context: ToolContext, columns: Mapping[str, Any], seconds: float
) -> None:
    if columns["status"] == ExecutionStatus.WAITING_FOR_USER:
        await asyncio.sleep(min(ANSWERED_SECONDS, seconds))
    else:
        await context.gateway.watcher.wait_until_settled(columns["id"], seconds)


def describe_progress(columns: Mapping[str, Any]) -> str:
    """The state of an execution in one line, for the person at the client."""
    reason = f" ({columns['status_reason']})" if columns["status_reason"] else ""
    turns, calls = columns["total_turns"], columns["total_tool_calls"]
    state = columns["status"].replace("_", " ")
    return f"{columns['title']}: {state}{reason}, {turns} turns, {calls} tool calls"
