"""`perdure schedules`: tasks that run by themselves."""

from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson, Watch

app = typer.Typer(name="schedules", help="Tasks that run by themselves.", no_args_is_help=True)
TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task's name or id.")]


@app.command("list")
def list_schedules(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List scheduled tasks with their next fires (UTC), newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/schedules", page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("task", "cron", "zone", "state", "next fire", "id"),
        [
            (
                line["task_name"],
                line["cron"],
                line["timezone"],
                line["state"],
                show.when(line["next_fire_at"]),
                line["task_id"],
            )
            for line in page["items"]
        ],
        nothing="No task has a schedule. `is_scheduled` and `schedule_cron` give it one.",
    )


@app.command("show")
def show_schedule(context: typer.Context, task: TaskName, *, as_json: AsJson = False) -> None:
    """Show when a task fires next, and what became of its last fires."""
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = gateway.get(f"/tasks/{arguments.find(gateway, task)['id']}/schedule")
    if as_json:
        show.as_json(found)
        return
    fires = found.pop("recent_fires")
    next_fires = [show.when(time) for time in found.pop("next_fires")]
    show.fields({**found, "next_fires": ", ".join(next_fires[:3])})
    show.rows(
        ("due", "started", "status", "why", "execution"),
        [
            (
                show.when(fire["scheduled_at"]),
                show.when(fire["started_at"]),
                show.status(fire["status"]),
                fire["reason"],
                fire["execution_id"],
            )
            for fire in fires
        ],
        nothing="It has not fired yet.",
    )


@app.command()
def pause(context: typer.Context, task: TaskName) -> None:
    """Let a schedule fire no more until it is resumed; what runs goes on."""
    _switch(context, task, "pause")


@app.command()
def resume(context: typer.Context, task: TaskName) -> None:
    """Let a paused schedule fire again."""
    _switch(context, task, "resume")


@app.command()
def trigger(
    context: typer.Context, task: TaskName, *, watch: Watch = False, as_json: AsJson = False
) -> None:
    """Run a scheduled task now, as if it were due; also while it is paused."""
    from cli import arguments, show
    from cli.following import follow, on_a_terminal

    with gateway_of(context) as gateway:
        path = f"/tasks/{arguments.find(gateway, task)['id']}/schedule/trigger"
        execution = gateway.start(path)
        if watch:
            code = follow(
                gateway, execution["id"], watch=True, as_json=as_json, stay=on_a_terminal()
            )
            raise typer.Exit(code)
    if as_json:
        show.as_json(execution)
    else:
        show.out.print(f"Started; `perdure watch {execution['id']}` follows it.")


@app.command()
def backfill(
    context: typer.Context,
    task: TaskName,
    start: Annotated[
        str, typer.Argument(metavar="START", help="As 2026-01-31 or 2026-01-31T09:00:00+01:00.")
    ],
    end: Annotated[
        str,
        typer.Argument(metavar="END", help="The same; the span has both ends. (UTC by default)"),
    ],
    overlap: Annotated[
        str,
        typer.Option(help="buffer_all runs one after the other, allow_all all at once."),
    ] = "buffer_all",
    *,
    as_json: AsJson = False,
) -> None:
    """Make up for the fires of a span in the past."""
    from cli import arguments, show

    body = {
        "start_at": arguments.time(start),
        "end_at": arguments.time(end),
        "overlap_policy": overlap,
    }
    with gateway_of(context) as gateway:
        path = f"/tasks/{arguments.find(gateway, task)['id']}/schedule/backfill"
        accepted = gateway.start(path, body)
    if as_json:
        show.as_json(accepted)
    else:
        show.out.print(f"{accepted['fires']} fires are made up for.")


def _switch(context: typer.Context, task: str, action: str) -> None:
    from cli import arguments, show

    with gateway_of(context) as gateway:
        found = gateway.post(f"/tasks/{arguments.find(gateway, task)['id']}/schedule/{action}")
    if found["next_fires"]:
        show.out.print(f"{found['state']}; next {show.when(found['next_fires'][0])}")
    else:
        show.out.print(found["state"])
