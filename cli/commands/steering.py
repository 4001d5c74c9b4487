"""`perdure executions pause|resume|fork`: holding a run, and going on from a turn of it."""

from typing import Annotated, Any

import typer

from cli.commands.connection import ExecutionId, gateway_of
from cli.commands.run import AsJson


def add_to(app: typer.Typer) -> None:
    """Put these commands beside the others about executions."""
    for command in (pause, resume, fork):
        app.command()(command)


def pause(context: typer.Context, execution_id: ExecutionId) -> None:
    """Let an execution stand still after the step in hand."""
    _post(context, execution_id, "pause", "It will stand still after the step in hand.")


def resume(context: typer.Context, execution_id: ExecutionId) -> None:
    """Let a paused execution go on where it was."""
    _post(context, execution_id, "resume", "It goes on where it was.")


def fork(
    context: typer.Context,
    execution_id: ExecutionId,
    at_turn: Annotated[int, typer.Option(min=0, help="The last turn to share; 0 shares none.")],
    prompt: Annotated[str | None, typer.Option(help="What is said from there.")] = None,
    model: Annotated[str | None, typer.Option(help="Another model.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Start a new execution that goes on from a turn of another one."""
    from cli import show

    given: dict[str, Any] = {"at_turn": at_turn, "prompt": prompt, "model": model}
    body = {name: value for name, value in given.items() if value is not None}
    with gateway_of(context) as gateway:
        forked = gateway.post(f"/task-executions/{execution_id}/fork", body)
    if as_json:
        show.as_json(forked)
    else:
        show.out.print(f"Forked: {forked['id']}", markup=False)


def _post(context: typer.Context, execution_id: str, action: str, told: str) -> None:
    from cli import show

    with gateway_of(context) as gateway:
        gateway.post(f"/task-executions/{execution_id}/{action}", {})
    show.out.print(told)
