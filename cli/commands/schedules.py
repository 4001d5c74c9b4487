"""`perdure schedules`: tasks that run at set times."""

import typer

from cli import show
from cli.arguments import (
    TASK_REFERENCE,
    AsJson,
    TaskName,
    Watch,
    find_resource,
    open_client,
    parse_time,
)
from cli.commands.run import wait_for_end
from cli.resources import CommandGroup, Json, argument, option

GROUP = CommandGroup("schedules", "Tasks that run at set times.", TASK_REFERENCE)

GROUP.add_list(
    "list_schedules",
    "List scheduled tasks with their next runs (UTC), newest first.",
    "task: task_name, cron, zone: timezone, state, next fire: next_fire_at, id: task_id",
    nothing="No task has a schedule. `is_scheduled` and `schedule_cron` give it one.",
    limit=20,
)


def _print_schedule(schedule: Json) -> None:
    runs = schedule.pop("recent_fires")
    next_times = [show.format_time(time) for time in schedule.pop("next_fires")]
    show.print_fields({**schedule, "next_fires": ", ".join(next_times[:3])})
    show.print_items(
        runs,
        "due: scheduled_at, started: started_at, status, why: reason, execution: execution_id",
        nothing="It has not run yet.",
    )


def _print_state(schedule: Json) -> None:
    times = schedule["next_fires"]
    following = f"; next {show.format_time(times[0])}" if times else ""
    show.out.print(f"{schedule['state']}{following}")


GROUP.add_show(
    "Show when a task runs next, and the outcome of its last scheduled runs.",
    "get_schedule",
    view=_print_schedule,
)
GROUP.add_action(
    "pause",
    "pause_schedule",
    "Pause a schedule until it is resumed; running executions continue.",
    _print_state,
)
GROUP.add_action("resume", "resume_schedule", "Resume a paused schedule.", _print_state)


@GROUP.app.command()
def trigger(
    context: typer.Context, task: TaskName, *, watch: Watch = False, as_json: AsJson = False
) -> None:
    """Run a scheduled task now, as if it were due, even if its schedule is paused."""
    with open_client(context) as client:
        execution = client.start("trigger_schedule", task_id=find_resource(client, task)["id"])
        if watch:
            wait_for_end(client, execution, watch=True, as_json=as_json, stay=None)
    if as_json:
        show.print_json(execution)
    else:
        show.out.print(f"Started; `perdure watch {execution['id']}` follows it.")


def _make_backfill(given: Json, _: Json) -> Json:
    return {
        "start_at": parse_time(given["start"]),
        "end_at": parse_time(given["end"]),
        "overlap_policy": given["overlap"],
    }


GROUP.add_action(
    "backfill",
    "backfill_schedule",
    "Run a task for the times in the past at which its schedule did not run it.",
    "{fires} fires are made up for.",
    options={
        "start": argument("START", "As 2026-01-31 or 2026-01-31T09:00:00+01:00."),
        "end": argument("END", "The same, included. (UTC by default)"),
        "overlap": option(
            "buffer_all runs one after the other, allow_all all at once.",
            kind=str,
            default="buffer_all",
        ),
    },
    make_body=_make_backfill,
    has_json=True,
    is_start=True,
)
