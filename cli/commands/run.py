"""`perdure run` and `perdure watch`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.connection import ExecutionId, gateway_of

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Tell everything as it happens.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Variable = Annotated[
    list[str] | None,
    typer.Option("--variable", "-v", help="name=text, or name:=json. May be repeated."),
]
Budget = Annotated[
    float | None, typer.Option(min=0, help="It ends before it costs more. (default: the task's)")
]
Stay = Annotated[
    bool | None,
    typer.Option(
        "--stay/--leave",
        help="When a person is needed: go on following, or end with exit code 4. "
        "(default: stay on a terminal, where you are asked)",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Put these commands into the application."""
    app.command()(run)
    app.command()(watch)
    app.command()(say)


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
    from cli import applying, arguments, definitions
    from cli.following import follow, on_a_terminal

    given = {
        "variables": arguments.variables(variable or []),
        "priority": priority,
        "max_budget_usd": max_budget_usd,
    }
    body = {name: value for name, value in given.items() if value is not None}
    with gateway_of(context) as gateway:
        if definitions.is_file(task_or_file):
            task = applying.apply(gateway, definitions.task_in(Path(task_or_file)))
        else:
            task = arguments.find(gateway, task_or_file)
        execution = gateway.start(f"/tasks/{task['id']}/execute", body)
        stays = on_a_terminal() if stay is None else stay
        raise typer.Exit(follow(gateway, execution["id"], watch=watch, as_json=as_json, stay=stays))


def watch(
    context: typer.Context,
    execution_id: ExecutionId,
    *,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Follow an execution from its beginning to its end."""
    from cli.following import follow, on_a_terminal

    stays = on_a_terminal() if stay is None else stay
    with gateway_of(context) as gateway:
        raise typer.Exit(follow(gateway, execution_id, watch=True, as_json=as_json, stay=stays))


def say(
    context: typer.Context,
    execution_id: ExecutionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    *,
    watch: Watch = False,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Say something to an execution and wait for its end.

    One that runs hears it before its next step. One that has ended is answered by a new execution
    in the same session. Exit codes are those of `run`.
    """
    from cli.following import follow, on_a_terminal

    stays = on_a_terminal() if stay is None else stay
    with gateway_of(context) as gateway:
        heard = gateway.start(f"/task-executions/{execution_id}/messages", {"content": text})
        raise typer.Exit(follow(gateway, heard["id"], watch=watch, as_json=as_json, stay=stays))
