"""The extension `io.modelcontextprotocol/tasks`: an execution is a task with the same id.

A client that declares the extension gets a task from a tool that starts work, and polls it. The
open input requests are its `inputRequests`, one at a time. The execution does not depend on the
client.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER
from mcp.types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ClientCapabilities,
    ElicitResult,
    MissingRequiredClientCapabilityErrorData,
    RequestParams,
)
from pydantic import ValidationError

from api.mcp.context import ToolContext, call_of, is_modern
from api.mcp.elicitation import apply_response, find_elicitation, render_elicitation
from api.mcp.results import render_failed_execution, render_result
from api.mcp.work import WAITING, describe_progress, own_columns, read_execution
from domain.errors import ExecutionTerminalError, NotFoundError, PerdureError
from domain.executions.states import ExecutionStatus
from persistence.db.outages import is_outage
from persistence.executions import events
from services.executions import control
from services.executions.elicitations import Elicitation
from services.executions.inputs import CancelBody

EXTENSION = "io.modelcontextprotocol/tasks"

SHORTEST_POLL, LONGEST_POLL = timedelta(seconds=1), timedelta(seconds=15)
POLLS_PER_AGE = 10
"""A client polls after a tenth of the time since the last change, within these limits (chosen):
short work ends soon, and a wait of days costs little."""

CANCEL_REASON = "The user cancelled the task in their MCP client."

UNDECLARED = (
    f"This client did not declare the extension {EXTENSION} in this request. Use the tools "
    "watch_execution and get_execution with the id of the task as execution_id."
)

Json = dict[str, Any]
Handler = Callable[[ToolContext, UUID, "TaskParams"], Awaitable[Json]]


class TaskParams(RequestParams):
    """The parameters of `tasks/get`, `tasks/update` and `tasks/cancel`."""

    task_id: str
    input_responses: dict[str, Any] | None = None
    """Only in `tasks/update`; responses of unknown form are ignored."""


def add_tasks(server: Server[Any]) -> None:
    """Serve the extension."""
    server.extensions[EXTENSION] = {}
    for method, handler in (
        ("tasks/get", _get),
        ("tasks/update", _update),
        ("tasks/cancel", _cancel),
    ):
        server.add_request_handler(method, TaskParams, _guard(handler))


def is_declared(context: ToolContext) -> bool:
    """Whether the client declared the extension in this request, in a revision that has it."""
    capabilities = context.client_capabilities
    declared = (capabilities.extensions if capabilities else None) or {}
    return EXTENSION in declared and is_modern(context.request)


async def create_task(context: ToolContext, execution_id: UUID) -> Json:
    """The task for an execution that was committed before."""
    columns = await _read_columns(context, execution_id)
    return {"resultType": "task", **_render(columns, "working", describe_progress(columns))}


def _guard(
    handler: Handler,
) -> Callable[[ServerRequestContext[Any, Any], TaskParams], Awaitable[Json]]:
    """Refuse clients that did not declare the extension, and unknown tasks."""

    async def run_guarded(request: ServerRequestContext[Any, Any], params: TaskParams) -> Json:
        if not is_modern(request):
            raise MCPError(METHOD_NOT_FOUND, "Method not found", data=request.method)
        context = ToolContext(call=call_of(request), request=request, tool_name=request.method)
        if not is_declared(context):
            raise _make_undeclared_error()
        _require_same_name(context, params.task_id)
        execution_id = _read_id(params.task_id)
        try:
            return {"resultType": "complete", **await handler(context, execution_id, params)}
        except NotFoundError as error:
            raise _unknown_task(params.task_id) from error
        except PerdureError as error:
            raise MCPError(INVALID_PARAMS, error.detail) from error
        except Exception as error:
            if not is_outage(error):
                raise
            message = "The database is unavailable; ask again in a few seconds."
            raise MCPError(INTERNAL_ERROR, message) from error

    return run_guarded


def _require_same_name(context: ToolContext, task_id: str) -> None:
    """Refuse a header for another task: proxies and logs believe the header."""
    named = context.call.request.headers.get(MCP_NAME_HEADER)
    if named is not None and named != task_id:
        message = f"The header {MCP_NAME_HEADER} must contain the taskId of the request."
        raise MCPError(HEADER_MISMATCH, message)


def _read_id(task_id: str) -> UUID:
    try:
        return UUID(task_id)
    except ValueError as error:
        raise _unknown_task(task_id) from error


def _unknown_task(task_id: str) -> MCPError:
    message = f"There is no task {task_id[:100]}: a task has the id of an execution of yours."
    return MCPError(INVALID_PARAMS, message)


def _make_undeclared_error() -> MCPError:
    required = MissingRequiredClientCapabilityErrorData(
        required_capabilities=ClientCapabilities(extensions={EXTENSION: {}})
    )
    data = required.model_dump(by_alias=True, mode="json", exclude_none=True)
    return MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, UNDECLARED, data=data)


async def _read_columns(context: ToolContext, execution_id: UUID) -> Mapping[str, Any]:
    """The columns of an execution, with `changed_at`, the time of its latest event."""
    columns = await own_columns(context, execution_id)
    before = columns["event_seq"] - 1
    latest = await events.list_after(context.gateway.database, execution_id, before, limit=1)
    return {**columns, "changed_at": latest[-1].at if latest else columns["created_at"]}


async def _get(context: ToolContext, execution_id: UUID, _: TaskParams) -> Json:
    columns = await _read_columns(context, execution_id)
    status = ExecutionStatus(columns["status"])
    if status is ExecutionStatus.CANCELLED:
        return _render(columns, "cancelled", _describe_cancellation(columns))
    if status.is_terminal:
        result = await read_execution(context, execution_id)
        render = render_result if status is ExecutionStatus.COMPLETED else render_failed_execution
        dumped = render(result).model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**_render(columns, "completed", result.next_step), "result": dumped}
    elicitation = None
    if status in WAITING:
        elicitation = await find_elicitation(context, execution_id)
    if elicitation is not None:
        return _render_question(columns, elicitation)
    return await _render_active(context, columns)


async def _render_active(context: ToolContext, columns: Mapping[str, Any]) -> Json:
    """A task that the client can't help: it works, or a person must answer on a page."""
    if columns["status"] == ExecutionStatus.WAITING_FOR_USER:
        result = await read_execution(context, columns["id"])
        if result.input_requests:
            waiting = result.input_requests[0]
            message = f"{waiting.title} Answer it at {waiting.url}"
            return {**_render(columns, "input_required", message), "inputRequests": {}}
    return _render(columns, "working", describe_progress(columns))


def _render_question(columns: Mapping[str, Any], elicitation: Elicitation) -> Json:
    asked = render_elicitation(elicitation)
    message = f"{describe_progress(columns)}. It can be answered at {elicitation.url} too."
    dumped = asked.model_dump(by_alias=True, mode="json", exclude_none=True)
    return {
        **_render(columns, "input_required", message),
        "inputRequests": {elicitation.key: dumped},
    }


async def _update(context: ToolContext, execution_id: UUID, params: TaskParams) -> Json:
    await own_columns(context, execution_id)
    for key, given in (params.input_responses or {}).items():
        response = _read_response(given)
        if response is not None:
            await apply_response(context.call, execution_id, key, response)
    return {}


def _read_response(given: object) -> ElicitResult | None:
    """The response to an elicitation, the only kind of request that a task has."""
    try:
        return ElicitResult.model_validate(given)
    except ValidationError:
        return None


async def _cancel(context: ToolContext, execution_id: UUID, _: TaskParams) -> Json:
    """Request the cancellation. A repeat changes nothing, and an end that came before stays."""
    await own_columns(context, execution_id)
    try:
        async with context.transaction() as work:
            await control.cancel(work, execution_id, CancelBody(reason=CANCEL_REASON))
    except ExecutionTerminalError:
        pass
    return {}


def _describe_cancellation(columns: Mapping[str, Any]) -> str:
    """What the model reads about a cancelled task."""
    reason = columns["cancel_reason"]
    return (
        f"The execution {columns['id']} was cancelled{f': {reason}' if reason else '.'} "
        "Don't start it again unless the user asks for it."
    )


def _render(columns: Mapping[str, Any], status: str, message: str) -> Json:
    changed_at = columns["changed_at"]
    return {
        "taskId": str(columns["id"]),
        "status": status,
        "statusMessage": message,
        "createdAt": _format(columns["created_at"]),
        "lastUpdatedAt": _format(changed_at),
        "ttlMs": None,
        "pollIntervalMs": _poll_ms(changed_at),
    }


def _poll_ms(changed_at: datetime) -> int:
    pause = (datetime.now(UTC) - changed_at) / POLLS_PER_AGE
    return int(min(max(pause, SHORTEST_POLL), LONGEST_POLL) / timedelta(milliseconds=1))


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
