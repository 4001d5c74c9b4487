"""`perdure mcp`: gives an agent on this machine the gateway's MCP server over stdio."""

from typing import Annotated

import typer

from cli.connection.endpoint import Given
from cli.exits import CommandError


def mcp(
    context: typer.Context,
    groups: Annotated[
        str | None,
        typer.Option(
            help="Groups of tools besides the default ones: orchestrator, queue, memory, tasks, "
            "or all; separated by commas."
        ),
    ] = None,
) -> None:
    """Serve MCP over stdin and stdout, for agents such as Claude Code.

    Relays to the gateway, with the token of this home or PERDURE_TOKEN. In the agent's
    configuration the command is `perdure mcp`.
    """
    import asyncio
    import sys
    from urllib.parse import quote

    from cli.mcp.relay import relay_stdio

    if sys.stdin.isatty():
        raise CommandError(
            "An MCP client starts this command. For Claude Code, run: "
            "claude mcp add perdure -- perdure mcp"
        )
    given: Given = context.obj

    query = f"?groups={quote(groups)}" if groups else ""
    asyncio.run(relay_stdio(given.find_endpoint, query=query))
