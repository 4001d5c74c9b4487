"""`perdure tasks`: the reusable definitions."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson, Budget, Variable

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


@app.command("show", hidden=True)  # as the other groups call it
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
        show.named(made)


@app.command()
def delete(context: typer.Context, task: TaskName) -> None:
    """Delete a task; its executions stay readable."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, task)
        gateway.delete(f"/tasks/{found['id']}")
    show.out.print(f"Deleted: {found['name']}", markup=False)


@app.command()
def versions(
    context: typer.Context,
    task: TaskName,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List what a task said before, newest first."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = arguments.find(gateway, task)
        page = gateway.get(f"/tasks/{found['id']}/versions", page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("version", "written", "tools", "prompt"),
        [
            (
                version["version"],
                show.when(version["created_at"]),
                ", ".join(version["definition"]["allowed_tools"]),
                version["definition"]["prompt_template"].strip().splitlines()[0],
            )
            for version in page["items"]
        ],
        nothing="No versions.",
    )


@app.command("dry-run")
def dry_run(
    context: typer.Context,
    task: TaskName,
    variable: Variable = None,
    max_budget_usd: Budget = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse missing variables.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what an execution would be, and what such ones cost, without starting one."""
    from cli import arguments, show

    body = {"variables": arguments.variables(variable or ()), "strict_variables": strict}
    if max_budget_usd is not None:
        body["max_budget_usd"] = max_budget_usd
    with gateway_of(context) as gateway:
        told = gateway.post(f"/tasks/{arguments.find(gateway, task)['id']}/dry-run", body)
    if as_json:
        show.as_json(told)
        return
    forecast = told.pop("forecast")
    told["tools"] = {tool["tool"]: tool["rule"] for tool in told["tools"]}
    show.fields(told)
    show.rows(
        (f"of {forecast.pop('executions')} before", "half within", "nine of ten within"),
        [
            (name, _figure(spread["median"]), _figure(spread["p90"]))
            for name, spread in forecast.items()
            if spread
        ],
        nothing="No execution of it has completed yet, so there is no forecast.",
    )


def _figure(value: float) -> str:
    """As many digits as it has, six behind the point at most."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")
