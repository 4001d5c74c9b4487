"""`perdure run`, `perdure watch` and `perdure say`: executions that the command waits for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli import show
from cli.arguments import (
    AllowMissing,
    AsJson,
    Budget,
    Detach,
    ExecutionId,
    Full,
    Stay,
    Variable,
    Watch,
    drop_none,
    find_resource,
    hint_at_missing_variables,
    open_client,
    parse_variables,
)

if TYPE_CHECKING:
    from cli.client import Client, Json


def run(
    context: typer.Context,
    task_or_file: Annotated[
        str, typer.Argument(metavar="TASK|FILE", help="A file, or a task's name or id.")
    ],
    variable: Variable = None,
    priority: Annotated[
        int | None, typer.Option(min=0, max=10, help="10 goes first. (default: 5)")
    ] = None,
    max_budget_usd: Budget = None,
    *,
    allow_missing: AllowMissing = False,
    watch: Watch = False,
    full: Full = False,
    as_json: AsJson = False,
    stay: Stay = None,
    detach: Detach = False,
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
            from cli import applying, definitions  # loads the models of files

            task = applying.apply(client, definitions.read_task(Path(task_or_file)))
        else:
            task = find_resource(client, task_or_file)
        with hint_at_missing_variables():
            execution = client.start("execute_task", body, task_id=task["id"])
        follow_started(
            client, execution, detach=detach, watch=watch, as_json=as_json, stay=stay, full=full
        )


def is_file(name_or_file: str) -> bool:
    """Whether an argument is the path of a file."""
    try:
        return Path(name_or_file).is_file()
    except OSError:  # a name that is too long for a path
        return False


def follow_started(client: "Client", execution: "Json", *, detach: bool, **how: Any) -> None:
    """Print the id of a new execution; then wait for its end, unless detached (`wait_for_end`)."""
    show.print_warnings(execution)
    if not detach:
        show.err.print_line(("execution  ", "dim"), execution["id"])
        wait_for_end(client, execution, **how)
    from cli.live_updates import print_next_commands

    if how["as_json"]:
        show.print_json(execution)
        return
    show.out.print(execution["id"])
    print_next_commands(execution["id"], how.get("plan_id"))


def watch(
    context: typer.Context,
    execution_id: ExecutionId,
    *,
    full: Full = False,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Print an execution's events from its beginning to its end."""
    execution = {"id": execution_id}
    with open_client(context) as client:
        wait_for_end(client, execution, watch=True, as_json=as_json, stay=stay, full=full)


def say(
    context: typer.Context,
    execution_id: ExecutionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The message.")],
    *,
    watch: Watch = False,
    full: Full = False,
    as_json: AsJson = False,
    stay: Stay = None,
    detach: Detach = False,
) -> None:
    """Send a message to an execution and wait for its end.

    A running execution reads it before its next step. One that has ended is answered by a new
    execution in the same session. Exit codes are those of `run`.
    """
    with open_client(context) as client:
        execution = client.start("send_message", {"content": text}, execution_id=execution_id)
        follow_started(
            client, execution, detach=detach, watch=watch, as_json=as_json, stay=stay, full=full
        )


def wait_for_end(
    client: "Client",
    execution: "Json",
    *,
    watch: bool,
    as_json: bool,
    stay: bool | None,
    full: bool = False,
    plan_id: str | None = None,
) -> NoReturn:
    """Wait until an execution ends or needs a person, and exit with the code of that.

    `plan_id`: it is the run of this plan.
    """
    from cli.confirming import is_interactive
    from cli.live_updates import Following, follow

    stays = is_interactive() if stay is None else stay
    how = Following(watch=watch, as_json=as_json, stay=stays, full=full, plan_id=plan_id)
    raise typer.Exit(follow(client, execution["id"], how))
