"""The tools by which the conformance suite checks tasks: each starts a real execution."""

import json
from typing import Any
from uuid import UUID

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp.types import MISSING_REQUIRED_CLIENT_CAPABILITY, CallToolRequestParams

from api.mcp.context import ToolContext, call_of
from api.mcp.registry import StartedWork
from api.mcp.server import finish_started
from api.mcp.tasks_extension import EXTENSION, is_declared
from domain.ids import new_id
from persistence.executions import input_requests
from persistence.tables.sessions import InputRequestRow
from services.executions import starting
from services.executions.inputs import WorkBody
from tests.engine.storing import Turn, script, use
from tests.waiting import eventually

Context = ServerRequestContext[Any, Any]
CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}
NEEDED: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


def add_task_fixtures(server: Server[Any]) -> None:
    """Answer calls of the fixtures, and leave all others to the server."""
    ours = server.get_request_handler("tools/call")
    assert ours is not None

    async def handle(ctx: Context, params: CallToolRequestParams) -> Any:
        result = await _call(ctx, params)
        return await ours.handler(ctx, params) if result is None else result

    server.add_request_handler("tools/call", CallToolRequestParams, handle)


async def _call(ctx: Context, params: CallToolRequestParams) -> Any:
    arguments = params.arguments or {}
    context = ToolContext(call=call_of(ctx), request=ctx, tool_name=params.name)
    match params.name:
        case "greet":
            content = [{"type": "text", "text": f"Hello, {arguments.get('name')}!"}]
            return {"resultType": "complete", "content": content}
        case "slow_compute":
            turn = {"text": "computed", "delay_ms": 1000 * arguments.get("seconds", 0)}
            return await _start(context, turn)
        case "failing_job":
            if not is_declared(context):
                raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "Declare tasks.", NEEDED)
            error = {"status": 400, "type": "invalid_request_error", "message": "It failed."}
            return await _start(context, {"error": error})
        case "confirm_delete":
            question = {"tool_use": use("ask_user", question=f"Delete {json.dumps(arguments)}?")}
            return await _start(context, question, {"text": "deleted"})
    return None


async def _start(context: ToolContext, *turns: Turn) -> Any:
    prompt = f"{new_id()}\n\n{script(*turns)}"
    async with context.transaction() as work:
        body = WorkBody(prompt=prompt, allowed_tools=("ask_user",))
        execution_id = (await starting.start_inline_work(work, body)).id
    if len(turns) > 1:
        await _ask_for_confirmation(context, execution_id)
    return await finish_started(context, StartedWork(execution_id, wait=True))


async def _ask_for_confirmation(context: ToolContext, execution_id: UUID) -> None:
    """Change the question into the form that the suite fills in."""

    async def is_asked() -> bool:
        async with context.reading() as session:
            return bool(await input_requests.list_open(session, execution_id))

    await eventually(is_asked, what="a question")
    async with context.gateway.database.transaction() as session:
        [(row, _)] = await input_requests.list_open(session, execution_id)
        (await session.get_one(InputRequestRow, row.id)).schema = CONFIRM
