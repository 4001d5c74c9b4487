"""`perdure executions`: the runs, and what is in them."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.connection import ExecutionId, gateway_of
from cli.commands.run import AsJson, Budget, Stay, Variable, Watch

app = typer.Typer(name="executions", help="Runs of tasks.", no_args_is_help=True)


@app.command("list")
def list_executions(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="As `failed`, or `failed,cancelled`.")] = None,
    task_id: Annotated[str | None, typer.Option(help="Of one task.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    session_id: Annotated[str | None, typer.Option(help="Of one conversation.")] = None,
    agent_id: Annotated[str | None, typer.Option(help="Of one agent.")] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag.")] = None,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get(
            "/task-executions",
            status=status,
            task_id=task_id,
            session_id=session_id,
            agent_id=agent_id,
            tag=tag,
            page_size=limit,
        )
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


@app.command("show", hidden=True)  # as the other groups call it
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
def retry(
    context: typer.Context,
    execution_id: ExecutionId,
    variable: Variable = None,
    max_budget_usd: Budget = None,
    *,
    watch: Watch = False,
    as_json: AsJson = False,
    stay: Stay = None,
) -> None:
    """Run an execution that has ended again from its beginning, and wait for its end.

    Variables that are given replace all of the first ones. Exit codes are those of `run`.
    """
    from cli import arguments
    from cli.following import follow, on_a_terminal

    given = {
        "variables": arguments.variables(variable) if variable else None,
        "max_budget_usd": max_budget_usd,
    }
    body = {name: value for name, value in given.items() if value is not None}
    stays = on_a_terminal() if stay is None else stay
    with gateway_of(context) as gateway:
        again = gateway.start(f"/task-executions/{execution_id}/retry", body)
        raise typer.Exit(follow(gateway, again["id"], watch=watch, as_json=as_json, stay=stays))


@app.command()
def files(
    context: typer.Context,
    execution_id: ExecutionId,
    path: Annotated[
        str, typer.Argument(metavar="[PATH]", help="A directory of the workspace.")
    ] = ".",
    *,
    as_json: AsJson = False,
) -> None:
    """List the files in the workspace."""
    from cli import show

    with gateway_of(context) as gateway:
        found = list(gateway.items(f"/task-executions/{execution_id}/files", path=path))
    if as_json:
        show.as_json(found)
        return
    show.rows(
        ("type", "bytes", "modified", "path"),
        [(f["type"], f["size_bytes"], show.when(f["modified_at"]), f["path"]) for f in found],
        nothing="No files.",
    )


@app.command()
def download(
    context: typer.Context,
    execution_id: ExecutionId,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]", help="A file of the workspace. (default: all, as a tar.gz)"
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", "-o", help="Where to write it.")] = None,
) -> None:
    """Download a file of the workspace, or all of them as an archive."""
    from cli import show

    files = f"/task-executions/{execution_id}/files"
    with gateway_of(context) as gateway:
        if path is None:
            target = to or Path(f"execution-{execution_id}.tar.gz")
            gateway.download(f"{files}/archive", target)
        else:
            target = to or Path(Path(path).name)
            gateway.download(f"{files}/content", target, path=path)
    show.out.print(str(target), markup=False)
