"""Tools of MCP servers in memory: what they list may change, and they may fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from domain.errors import McpServerError
from domain.mcp.tools import RemoteCall, RemoteScope, RemoteTool, ServerTools
from domain.tools.calls import OnProgress, OnStarted, ToolEffect, ToolOutcome, ToolProgress

Answer = Callable[[dict[str, Any]], Awaitable[ToolOutcome]]


async def echo(tool_input: dict[str, Any]) -> ToolOutcome:
    return ToolOutcome(str(tool_input.get("text", "")))


ECHO = RemoteTool(
    "echo",
    "Return the text.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)


@dataclass
class InMemoryServer:
    """A server; `calls` contains the inputs of the calls that it received."""

    tools: list[RemoteTool] = field(default_factory=lambda: [ECHO])
    is_trusted: bool = False
    is_down: bool = False
    answer: Answer = echo
    calls: list[dict[str, Any]] = field(default_factory=list)
    continue_: Answer = echo
    """Answers a call that is continued, by its state."""
    states: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    """Ids of tasks."""


class InMemoryRemoteTools:
    """The servers of all executions, by name."""

    def __init__(self) -> None:
        self.servers: dict[str, InMemoryServer] = {"shop": InMemoryServer()}
        self.listings = 0
        self.may_list = asyncio.Event()
        self.may_list.set()

    async def list_tools(self, scope: RemoteScope) -> Sequence[ServerTools]:
        self.listings += 1
        await self.may_list.wait()
        servers = {key: self._server(key) for key in scope.servers}
        return [
            ServerTools(key, list(server.tools), is_trusted=server.is_trusted)
            for key, server in servers.items()
        ]

    async def run(
        self, call: RemoteCall, *, on_started: OnStarted, on_progress: OnProgress
    ) -> ToolOutcome:
        try:
            server = self._server(call.tool.server)
        except McpServerError as error:
            return ToolOutcome(error.detail, is_error=True)
        found = {tool.name: tool for tool in server.tools}.get(call.tool.remote_name)
        if found is None or found.sha256 != call.tool.sha256:
            return ToolOutcome("The tool has changed.", is_error=True, is_changed=True)
        if call.state is not None:
            server.states.append(dict(call.state))
            return await server.continue_(dict(call.state))
        if call.tool.effect is not ToolEffect.READ_ONLY:
            await on_started(None)
        server.calls.append(dict(call.input))
        on_progress(ToolProgress(1.0, 2.0, "half"))
        return await server.answer(dict(call.input))

    async def cancel(self, call: RemoteCall) -> None:
        state = call.state or {}
        self._server(call.tool.server).cancelled.append(state["task"])

    def change(self, key: str) -> None:
        """Change the description of the server's first tool."""
        tools = self.servers[key].tools
        tools[0] = replace(tools[0], description="Something else.")

    def _server(self, key: str) -> InMemoryServer:
        server = self.servers[key]
        if server.is_down:
            raise McpServerError(f"MCP server {key!r}: It can't be reached.")
        return server
