"""`perdure run`, `perdure watch` and `perdure say`: executions that the command waits for."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.references import ExecutionId, find_resource, open_client
from cli.arguments.values import (
    AllowMissing,
    ArgumentError,
    Budget,
    Variable,
    drop_none,
    hint_at_missing_variables,
    parse_variables,
)
from cli.executions.follow_options import Following, Interrupt, with_detaching, with_watching
from cli.executions.following import follow_started, wait_for_end

if TYPE_CHECKING:
    from cli.connection.client import Client, Json


@with_detaching
def run(
    context: typer.Context,
    task_or_file: Annotated[
        str,
        typer.Argument(
            metavar="TASK|FILE", help="A file (- is YAML on stdin), or a task's name or id."
        ),
    ],
    variable: Variable = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=10, help="10 goes first. (default: 5)")
    ] = None,
    max_budget_usd: Budget = None,
    *,
    allow_missing: AllowMissing = False,
    how: Following,
) -> None:
    """Execute a task and wait for its end; Ctrl-C stops waiting, and the task keeps running.

    A file is applied first: its task is created, or changed to what the file says. Exit codes:
    0 completed, 1 failed, 2 wrong usage, 3 no gateway, 4 waiting for a person, 130 Ctrl-C.
    """
    variables = parse_variables(variable or [])
    body = drop_none(variables=variables, priority=priority, max_budget_usd=max_budget_usd)
    body["strict_variables"] = not allow_missing
    with open_client(context) as client:
        if is_file(task_or_file):
            from cli.definitions import applying, files  # loads the models of files

            task = applying.apply(client, files.read_task(Path(task_or_file)))
        else:
            task = _find_task(client, task_or_file)
        with hint_at_missing_variables():
            execution = client.start("execute_task", body, task_id=task["id"])
        follow_started(client, execution, how)


def _find_task(client: "Client", name: str) -> "Json":
    try:
        return find_resource(client, name)
    except ArgumentError as error:
        from cli.definitions.files import SUFFIXES

        if os.path.isdir(name):  # noqa: PTH112 - a path raises if the name is too long
            raise ArgumentError(
                f"{name!r} is a directory: `perdure apply -f {name}` stores its tasks, and "
                "`perdure run` executes one of its files."
            ) from error
        if Path(name).suffix in SUFFIXES:
            raise ArgumentError(
                f"There is no file {name!r} in {Path.cwd()}, and no task of this name. "
                "`perdure tasks list` shows the tasks."
            ) from error
        raise


def is_file(name_or_file: str) -> bool:
    """Whether an argument is the path of a file, or `-` for stdin."""
    return name_or_file == "-" or os.path.isfile(name_or_file)  # noqa: PTH113 - a path raises if the name is too long


@with_watching
def watch(context: typer.Context, execution_id: ExecutionId, how: Following) -> None:
    """Print the events of an execution and its subtasks, from its beginning to its end."""
    with open_client(context) as client:
        wait_for_end(client, execution_id, how)


@with_detaching
def say(
    context: typer.Context,
    execution_id: ExecutionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The message.")],
    how: Following,
    *,
    interrupt: Interrupt = False,
) -> None:
    """Send a message to an execution and wait for its end.

    A running execution reads it after its current step, with --interrupt at once. One that has
    ended is answered by a new execution in the same session. Exit codes are those of `run`.
    """
    body = {"content": text, "interrupt": interrupt}
    with open_client(context) as client:
        execution = client.start("send_message", body, execution_id=execution_id)
        follow_started(client, execution, how)
