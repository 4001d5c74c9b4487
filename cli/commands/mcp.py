"""`perdure mcp`: gives an agent on this machine the gateway's MCP server over stdio."""

from typing import Annotated

import typer

from cli.connection.endpoint import Given
from cli.exits import CommandError
from cli.program import program


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
    import os
    import shlex
    import stat
    import sys
    from urllib.parse import quote

    from cli.mcp.relay import relay_stdio

    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        raise CommandError(
            "An MCP client starts this command, and writes to it through a pipe. For Claude Code, "
            f"run: claude mcp add perdure -- {shlex.join([program(), 'mcp'])}"
        )
    given: Given = context.obj

    query = f"?groups={quote(groups)}" if groups else ""
    asyncio.run(relay_stdio(given.find_endpoint, query=query))
