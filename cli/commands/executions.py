"""`perdure executions`: the runs, and what is in them."""

from typing import Annotated

import typer

from cli.commands.connection import ExecutionId, gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="executions", help="Runs of tasks.", no_args_is_help=True)


@app.command("list")
def list_executions(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="As `failed` or `waiting_for_user`.")] = None,
    task_id: Annotated[str | None, typer.Option(help="Of one task.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/task-executions", status=status, task_id=task_id, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("status", "title", "created", "turns", "cost", "id"),
        [
            (
                show.status(e["status"]),
                e.get("title"),
                show.when(e["created_at"]),
                e.get("total_turns"),
                show.money(e.get("cost_usd")),
                e["id"],
            )
            for e in page["items"]
        ],
        nothing="No executions. `perdure run TASK` starts one.",
    )


@app.command()
def get(context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False) -> None:
    """Show an execution."""
    from cli import show

    with gateway_of(context) as gateway:
        found = gateway.get(f"/task-executions/{execution_id}")
    (show.as_json if as_json else show.fields)(found)


@app.command()
def cancel(
    context: typer.Context,
    execution_id: ExecutionId,
    reason: Annotated[str | None, typer.Option(help="Kept with the execution.")] = None,
) -> None:
    """Cancel an execution and its subtasks."""
    from cli import show

    with gateway_of(context) as gateway:
        body = {} if reason is None else {"reason": reason}
        gateway.post(f"/task-executions/{execution_id}/cancel", body)
    show.out.print("It will end within moments.")


@app.command()
def messages(context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False) -> None:
    """Show the transcript."""
    from cli import show
    from cli.live import text_of

    with gateway_of(context) as gateway:
        page = gateway.get(f"/task-executions/{execution_id}/messages", page_size=100)
    if as_json:
        show.as_json(page)
        return
    for message in sorted(page["items"], key=lambda item: int(item["seq"])):
        show.out.print(f"[dim]{message['seq']} {message['role']}[/]")
        show.out.print(text_of(message["content"]) or "(tool calls)", markup=False)


@app.command("tool-calls")
def tool_calls(
    context: typer.Context, execution_id: ExecutionId, *, as_json: AsJson = False
) -> None:
    """Show which tools were called, and how it went."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get(f"/task-executions/{execution_id}/tool-calls", page_size=100)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("tool", "status", "input"),
        [(c["name"], c["status"], c.get("input")) for c in page["items"]],
        nothing="No tool was called.",
    )
