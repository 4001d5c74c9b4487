"""Answers MCP requests: which tools there are, and what they return."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    DiscoverResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    PromptsCapability,
    RequestParams,
    ResourcesCapability,
    ToolsCapability,
)
from mcp.types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from api.http import metrics
from api.http.bodies import parse_beside
from api.http.request_context import Call
from api.mcp import errors, prompts, resources, tasks_extension
from api.mcp.context import ToolContext, call_of
from api.mcp.elicitation import CallState, continue_call, finish_call
from api.mcp.groups import groups_of
from api.mcp.registry import AgentTool, Catalogue, StartedWork, ToolResult
from api.mcp.results import render_result
from api.mcp.subscriptions import ListenStreams
from api.mcp.work import read_execution
from domain.errors import PerdureError, PermissionDeniedError, RateLimitedError
from persistence.db.outages import is_outage

log = structlog.get_logger(__name__)

INSTRUCTIONS = (
    "Perdure runs tasks for Claude durably: an execution survives crashes and disconnects, can "
    "take days and can ask people questions. Find tasks with list_tasks, run one with "
    "execute_task, and wait with watch_execution until `has_ended` is true. `next_step` of each "
    "result says what to do next. If an execution asks a question, answer it with "
    "answer_input_request in the words of the user; approvals are for people, so give the user "
    "the url of the request. Work continues if you disconnect: return to it with its execution_id."
)

CACHE_HINTS: Mapping[CacheableMethod, CacheHint] = {
    "server/discover": CacheHint(ttl_ms=3_600_000, scope="public"),
    "tools/list": CacheHint(ttl_ms=300_000, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=300_000, scope="public"),
    "resources/list": CacheHint(),
    "resources/read": CacheHint(),
    "prompts/list": CacheHint(),
}
"""Tools depend on the URL only, and change with releases. The rest is read again each time."""


NAME = "perdure"

STATE_SECONDS = 30 * 86_400.0
"""How long a person may take to answer at the client (chosen: no dialog stays open longer)."""


def create_server(
    catalogue: Catalogue, *, version: str, state_keys: Sequence[bytes]
) -> Server[Any]:
    """The MCP server of one process, which keeps no state between requests.

    `state_keys` seal what a client sends back when it repeats a call with answers (`requestState`).
    All gateways have the same ones; the first one seals.
    """
    tools = _Tools(catalogue)
    server: Server[Any] = Server(
        NAME,
        title="Perdure",
        version=version,
        description="Durable task execution for Claude.",
        instructions=INSTRUCTIONS,
        cache_hints=CACHE_HINTS,
        get_tool_input_schema=tools.input_schema,
        on_list_tools=tools.list,
        on_list_resources=resources.list_resources,
        on_list_resource_templates=resources.list_templates,
        on_read_resource=resources.read_resource,
        on_list_prompts=prompts.list_prompts,
        on_get_prompt=prompts.get_prompt,
        on_completion=prompts.complete,
        on_subscriptions_listen=ListenStreams(InMemorySubscriptionBus()).listen,
    )
    server.add_request_handler("tools/call", CallToolRequestParams, tools.call)
    tasks_extension.add_tasks(server)
    server.add_request_handler("server/discover", RequestParams, partial(_discover, server))
    server.middleware.append(_refuse_unready)
    security = RequestStateSecurity(keys=state_keys, ttl=STATE_SECONDS, bind_principal=_user_of)
    server.middleware.append(RequestStateBoundary(security, default_audience=NAME))
    return server


async def _discover(
    server: Server[Any], _: ServerRequestContext[Any, Any], __: RequestParams
) -> DiscoverResult:
    """What the server supports. It announces no changes of lists; clients read them again."""
    capabilities = server.get_capabilities(protocol_version=LATEST_MODERN_VERSION)
    kept = {
        "tools": ToolsCapability(),
        "prompts": PromptsCapability(),
        "resources": ResourcesCapability(),
    }
    return DiscoverResult(
        supported_versions=list(MODERN_PROTOCOL_VERSIONS),
        capabilities=capabilities.model_copy(update=kept),
        instructions=server.instructions,
    )


def _user_of(ctx: ServerRequestContext[Any, Any]) -> str:
    """The user to whom a sealed state belongs; others can't send it."""
    return str(call_of(ctx).principal.user_id)


async def _refuse_unready(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Refuse a handshake while the database is unavailable, so that the client repeats it later.

    Otherwise a client whose discovery failed would keep a connection of an older revision.
    """
    if ctx.method == "initialize" and not await _is_ready(call_of(ctx)):
        raise MCPError(INTERNAL_ERROR, "Perdure is not ready; connect again in a few seconds.")
    return await call_next(ctx)


async def _is_ready(call: Call) -> bool:
    try:
        return await call.gateway.write_check.is_writable()
    except Exception as error:
        if not is_outage(error):
            raise
        return False


class _Tools:
    """Lists tools and calls them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def input_schema(self, name: str) -> dict[str, Any] | None:
        """The schema against which the SDK checks headers that repeat arguments."""
        tool = self._catalogue.find(name)
        return None if tool is None else tool.definition.input_schema

    async def list(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        """The tools of the groups in the client's URL, on one page.

        Raises:
            MCPError: the client asks for another page.
        """
        if params is not None and params.cursor is not None:
            message = "The cursor is invalid; the list of tools has one page."
            raise MCPError(INVALID_PARAMS, message)
        offered = self._catalogue.list_tools(groups_of(call_of(ctx)))
        return ListToolsResult(tools=[tool.definition for tool in offered])

    async def call(
        self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams
    ) -> HandlerResult:
        """Call a tool; its errors are results that the model reads."""
        call = call_of(ctx)
        tool = self._find(call, params.name)
        context = ToolContext(call=call, request=ctx, tool_name=tool.name)
        began, outcome = time.monotonic(), "failed"
        try:
            result = await _run(context, tool, params)
        except PerdureError as error:
            outcome = "error"
            if isinstance(error, RateLimitedError):
                await call.gateway.refusals.pause(str(call.principal.user_id))
            return errors.error_result(error)
        except MCPError:
            outcome = "error"
            raise
        except Exception as error:  # noqa: BLE001 - reports every error
            return _report(error, context)
        else:
            outcome = "ok"
            return result
        finally:
            metrics.TOOL_CALLS.labels(tool.name, outcome).observe(time.monotonic() - began)

    def _find(self, call: Call, name: str) -> AgentTool[Any, Any]:
        tool = self._catalogue.find(name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}. See tools/list.")
        if tool.group not in groups_of(call):
            raise MCPError(
                INVALID_PARAMS,
                f"Unknown tool: {name}. It is in the group {tool.group}: add ?groups={tool.group} "
                "to the server's URL.",
            )
        return tool


async def _run(
    context: ToolContext, tool: AgentTool[Any, Any], params: CallToolRequestParams
) -> HandlerResult:
    if params.request_state is not None:
        return _render(context, await continue_call(context, params))
    given = dict(params.arguments or {})
    _require_user(context, given.pop("user_id", None))
    size = len(await context.call.body())
    result = await tool.handler(context, await parse_beside(size, tool.read_arguments, given))
    if isinstance(result, StartedWork):
        return await finish_started(context, result)
    return _render(context, result)


async def finish_started(context: ToolContext, started: StartedWork) -> HandlerResult:
    """The result of a tool that has started an execution: a task, if the client has tasks.

    If the client closes the connection meanwhile, the execution continues.
    """
    if not started.wait:
        return _render(context, await read_execution(context, started.execution_id))
    if tasks_extension.is_declared(context):
        return await tasks_extension.create_task(context, started.execution_id)
    state = CallState(execution_id=started.execution_id)
    return _render(context, await finish_call(context, state))


def _render(context: ToolContext, result: ToolResult | InputRequiredResult) -> HandlerResult:
    if isinstance(result, InputRequiredResult):
        return result
    return render_result(result, context.extra_content)


def _require_user(context: ToolContext, named: object) -> None:
    """Refuse a `user_id` that is not the connection's; tools of other servers send one.

    Raises:
        PermissionDeniedError: it is another user's.
    """
    principal = context.call.principal
    if named is not None and named not in (str(principal.user_id), principal.subject):
        raise PermissionDeniedError(
            "`user_id` is not the user of this connection; leave it out: the connection decides."
        )


def _report(error: Exception, context: ToolContext) -> CallToolResult:
    request_id = context.call.request.scope["request_id"]
    about = {"tool": context.tool_name, "request_id": request_id}
    if is_outage(error):
        log.warning("mcp.database_away", error=repr(error), **about)
        return errors.outage_result()
    log.error("mcp.tool_failed", exc_info=error, **about)
    return errors.internal_result(request_id)
