"""The list of a server's tools, page by page, with limits."""

import json
from collections.abc import Sequence

import mcp_types as types
from mcp.client import Client

from domain.mcp.tools import MAX_TOOLS, RemoteTool
from domain.model.json_values import make_encodable
from domain.text import clean

MAX_LISTED = 4 * MAX_TOOLS
"""Tools of one server that are read; more can't be offered anyway (chosen)."""

MAX_LISTED_BYTES = 4 * 1024 * 1024
"""All definitions of one server as JSON (chosen)."""

MAX_PAGES = 100


async def list_all(client: Client) -> Sequence[RemoteTool]:
    """Return all tools of the server, in its order.

    Raises:
        ValueError: the list is too long.
        MCPError: the server refuses.
    """
    if client.server_capabilities.tools is None:
        return ()
    tools: list[RemoteTool] = []
    size, cursor = 0, None
    for _ in range(MAX_PAGES):
        params = types.PaginatedRequestParams(cursor=cursor)
        page = await client.session.list_tools(params=params)
        for tool in page.tools:
            found = _remote_tool(tool)
            size += len(json.dumps(found.input_schema)) + len(found.description)
            tools.append(found)
        if len(tools) > MAX_LISTED or size > MAX_LISTED_BYTES:
            raise ValueError(f"it has more than {MAX_LISTED} tools, or too long definitions")
        if (cursor := page.next_cursor) is None:
            break
    return tools


def _remote_tool(tool: types.Tool) -> RemoteTool:
    hints = tool.annotations or types.ToolAnnotations()
    return RemoteTool(
        name=clean(tool.name),
        description=clean(tool.description or tool.title or ""),
        input_schema=make_encodable(tool.input_schema),
        is_read_only=hints.read_only_hint is True,
        is_idempotent=hints.idempotent_hint is True,
    )
