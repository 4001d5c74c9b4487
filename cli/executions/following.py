"""Waiting for the end of an execution that a command has started or found.

What prints its events takes long to import, so it is loaded when it is needed.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import typer

from cli.executions.follow_options import Following
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client, Json


def follow_started(client: "Client", execution: "Json", how: Following) -> None:
    """Print the id of a new execution; then wait for its end, unless detached (`wait_for_end`)."""
    show.print_warnings(execution)
    if not how.detach:
        show.err.print_line(("execution  ", "dim"), execution["id"])
        wait_for_end(client, execution["id"], how)
    from cli.executions.live_updates import print_next_commands

    if how.output == "table":
        show.out.print(execution["id"])
        print_next_commands(execution["id"], how.plan_id)
    else:
        show.print_answer(execution, how.output, show.print_fields)


def wait_for_end(client: "Client", execution_id: str, how: Following) -> NoReturn:
    """Wait until an execution ends or needs a person, and exit with the code of that."""
    from cli.executions.live_updates import follow
    from cli.terminal.prompts import is_interactive

    stays = is_interactive() if how.stay is None else how.stay
    raise typer.Exit(follow(client, execution_id, replace(how, stay=stays)))
