"""The client of workers as a program that the conformance suite runs: its argument is the server.

It calls every tool of the server once, as an execution would.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from domain.mcp.auth import ClientCredentials
from domain.mcp.remote_waits import RemoteState, respond
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import PinnedTool
from runtime.outbound import Outbound
from tests.tools.mcp.conftest import Attempt, Worker
from tools.limits import ToolLimits

ECHO = "json_schema_echo"
"""The tool that wants the schema of the first one, as the client received it."""

EXAMPLES: Mapping[str, Any] = {
    "string": "text",
    "number": 5,
    "integer": 5,
    "boolean": True,
    "array": [],
    "object": {},
}


def read_server(url: str, context: Mapping[str, Any]) -> ResolvedServer:
    """The server, with the credentials that the scenario names."""
    secret = context.get("client_secret") or context.get("private_key_pem")

    async def open_secret(_: str) -> str:
        return str(secret)

    if secret is None:
        return ResolvedServer("server", url=url)
    credentials = ClientCredentials(
        "client_credentials" if "client_secret" in context else "private_key_jwt",
        context["client_id"],
        "secret://client",
        algorithm=context.get("signing_algorithm", "RS256"),
    )
    return ResolvedServer("server", url=url, credentials=credentials, open_secret=open_secret)


def make_input(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An input with every property."""
    fields = schema.get("properties", {})
    return {name: EXAMPLES.get(str(field.get("type")), "text") for name, field in fields.items()}


async def call(attempt: Attempt, tool: PinnedTool, tool_input: Mapping[str, Any]) -> None:
    """Call a tool to its end; a person accepts what the server asks."""
    state: RemoteState | None = None
    while True:
        outcome = await attempt.call(tool.name, state=state, **tool_input)
        if outcome.wait is None:
            return
        state, question = outcome.wait.state, outcome.wait.question
        if question is not None:
            content = make_input(question.schema or {})
            state = respond(state, {"action": "accept", "content": content})
        await asyncio.sleep(0.1)


def list_calls(
    attempt: Attempt, context: Mapping[str, Any]
) -> Iterator[tuple[PinnedTool, Mapping[str, Any]]]:
    """The calls that the scenario names, or one of each tool."""
    tools = {tool.remote_name: tool for tool in attempt.tools.values()}
    if "toolCalls" in context:
        yield from ((tools[call["name"]], call["arguments"]) for call in context["toolCalls"])
        return
    schemas = {d["name"]: d["input_schema"] for d in attempt.definitions}
    pinned = {tool.name: tool.input_schema or schemas[tool.name] for tool in tools.values()}
    for tool in tools.values():
        tool_input = make_input(schemas[tool.name])
        if tool.remote_name == ECHO:
            tool_input = dict.fromkeys(tool_input, next(iter(pinned.values())))
        yield tool, tool_input


async def main() -> None:
    """Run one scenario."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    outbound = Outbound(["localhost", "127.0.0.1"])
    with tempfile.TemporaryDirectory() as home:
        worker = Worker(Path(home) / "workspaces", outbound, ToolLimits())
        worker.servers["server"] = read_server(sys.argv[-1], context)
        try:
            async with worker.attempt() as attempt:
                await attempt.pin()
                for tool, tool_input in list_calls(attempt, context):
                    await call(attempt, tool, tool_input)
        finally:
            await worker.mcp.close()
            await outbound.aclose()


if __name__ == "__main__":
    asyncio.run(main())
