"""`perdure run`, `perdure watch` and `perdure say`: executions that the command waits for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.arguments import (
    AsJson,
    Budget,
    ExecutionId,
    Stay,
    Variable,
    Watch,
    drop_none,
    find_resource,
    open_client,
    parse_variables,
)

if TYPE_CHECKING:
    from cli.client import Client, Json


def run(
    context: typer.Context,
    task_or_file: Annotated[
        str, typer.Argument(metavar="TASK|FILE", help="A task's name or id, or a file.")
    ],
    variable: Variable = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=10, help="10 goes first. (default: 5)")
    ] = None,
    max_budget_usd: Budget = None,
    *,
    watch: Watch = False,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Execute a task and wait for its end.

    A file is applied first: its task is created, or changed to what the file says.
    Exit codes: 0 completed, 1 failed, 2 wrong usage, 3 no gateway, 4 waiting for a person.
    """
    from cli import applying, definitions

    variables = parse_variables(variable or [])
    body = drop_none(variables=variables, priority=priority, max_budget_usd=max_budget_usd)
    with open_client(context) as client:
        if definitions.is_file(task_or_file):
            task = applying.apply(client, definitions.read_task(Path(task_or_file)))
        else:
            task = find_resource(client, task_or_file)
        execution = client.start("execute_task", body, task_id=task["id"])
        wait_for_end(client, execution, watch=watch, as_json=as_json, stay=stay)


def watch(
    context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False, stay: Stay = None
) -> None:
    """Print an execution's events from its beginning to its end."""
    with open_client(context) as client:
        wait_for_end(client, {"id": execution_id}, watch=True, as_json=as_json, stay=stay)


def say(
    context: typer.Context,
    execution_id: ExecutionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The message.")],
    *,
    watch: Watch = False,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Send a message to an execution and wait for its end.

    A running execution reads it before its next step. One that has ended is answered by a new
    execution in the same session. Exit codes are those of `run`.
    """
    with open_client(context) as client:
        execution = client.start("send_message", {"content": text}, execution_id=execution_id)
        wait_for_end(client, execution, watch=watch, as_json=as_json, stay=stay)


def wait_for_end(
    client: "Client", execution: "Json", *, watch: bool, as_json: bool, stay: bool | None
) -> NoReturn:
    """Wait until an execution ends or needs a person, and exit with the code of that."""
    from cli.live_updates import follow, is_interactive

    stays = is_interactive() if stay is None else stay
    raise typer.Exit(follow(client, execution["id"], watch=watch, as_json=as_json, stay=stays))
