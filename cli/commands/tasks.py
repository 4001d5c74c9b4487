"""`perdure tasks`: the reusable definitions."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="tasks", help="Reusable definitions.", no_args_is_help=True)
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task's name or id.")]


@app.command("list")
def list_tasks(
    context: typer.Context,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Words to look for.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/tasks", q=query, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("name", "version", "schedule", "active", "id"),
        [
            (t["name"], t["version"], t.get("schedule_cron") or "", t["is_active"], t["id"])
            for t in page["items"]
        ],
        nothing="No tasks yet. `perdure tasks create -f FILE` makes one.",
    )


@app.command()
def get(context: typer.Context, task: TaskName, *, as_json: AsJson = False) -> None:
    """Show a task."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, task)
    (show.as_json if as_json else show.fields)(found)


@app.command()
def create(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML, JSON or Markdown.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Create a task from a file."""
    from cli import definitions, show

    with gateway_of(context) as gateway:
        made = gateway.post("/tasks", definitions.task_in(file).request)
    if as_json:
        show.as_json(made)
    else:
        show.out.print(f"{made['name']}  [dim]{made['id']}[/]")


@app.command()
def delete(context: typer.Context, task: TaskName) -> None:
    """Delete a task; its executions stay readable."""
    from cli import arguments

    with gateway_of(context) as gateway:
        gateway.delete(f"/tasks/{arguments.find(gateway, task)['id']}")
