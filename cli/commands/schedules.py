"""`perdure schedules`: tasks that run at set times."""

from datetime import datetime
from zoneinfo import ZoneInfo

import typer

from cli.arguments.references import (
    TASK_REFERENCE,
    TaskName,
    find_resource,
    open_client,
)
from cli.arguments.times import parse_time
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
from cli.executions.follow_options import Following, with_optional_watching
from cli.executions.following import follow_started
from cli.terminal import show

GROUP = CommandGroup("schedules", "Tasks that run at set times.", TASK_REFERENCE)


def _format_next(schedule: Json) -> str:
    """The next time in the schedule's own zone."""
    return _format_in_zone(schedule["next_fire_at"], schedule["timezone"])


def _format_in_zone(time: str | None, zone: str) -> str:
    if time is None:
        return "-"
    at = datetime.fromisoformat(time).astimezone(ZoneInfo(zone))
    return f"{at:%a %Y-%m-%d %H:%M %Z}"


GROUP.add_list(
    "list_schedules",
    "List scheduled tasks with their next runs in their own zones, newest first.",
    TableView(
        "task: task_name, cron, zone: timezone, state, next run, id: task_id",
        nothing="No task has a schedule. `perdure schedules create TASK --cron …` gives it one.",
        computed={"next run": _format_next},
    ),
    limit=20,
)


def _print_schedule(schedule: Json) -> None:
    runs = schedule.pop("recent_fires")
    zone = schedule["timezone"]
    next_times = [_format_in_zone(time, zone) for time in schedule.pop("next_fires")]
    show.print_fields({**schedule, "next_fires": ", ".join(next_times[:3])})
    show.print_items(
        runs,
        "due: scheduled_at, started: started_at, status, why: reason, execution: execution_id",
        nothing="It has not run yet.",
    )


def _print_state(schedule: Json) -> None:
    times = schedule["next_fires"]
    zone = schedule["timezone"]
    following = f"; next {_format_in_zone(times[0], zone)}" if times else ""
    show.out.print(f"{schedule['state']}{following}")


GROUP.add_show(
    "Show when a task runs next, and the outcome of its last scheduled runs.",
    "get_schedule",
    view=_print_schedule,
)


def _make_schedule(given: Json, _: Json) -> Json:
    names = {
        "cron": "schedule_cron",
        "zone": "schedule_timezone",
        "overlap": "schedule_overlap_policy",
        "jitter_seconds": "schedule_jitter_seconds",
        "catchup_window_seconds": "schedule_catchup_window_seconds",
    }
    schedule = {names[name]: value for name, value in given.items()}
    return {**schedule, "is_scheduled": True, "schedule_enabled": True}


def _print_made(task: Json) -> None:
    show.out.print(
        f"{task['name']} runs by {task['schedule_cron']!r} in {task['schedule_timezone']}: "
        "`perdure schedules get` shows when."
    )
    show.print_warnings(task)


GROUP.add_action(
    "create",
    "update_task",
    "Run a task at set times, or change its times.",
    _print_made,
    options={
        "cron": option("As '0 9 * * 1-5': weekdays at nine.", "--cron", kind=str, default=...),
        "zone": option("As Europe/Berlin. (default: UTC)", "--zone"),
        "overlap": option(
            "What to do while the last run has not ended: skip (default), buffer_one, buffer_all, "
            "cancel_other, terminate_other or allow_all."
        ),
        "jitter_seconds": option("Start up to that much later, at random.", kind=int | None),
        "catchup_window_seconds": option(
            "How long a run that was due during a Temporal outage can still start. (default: 3600)",
            kind=int | None,
        ),
    },
    make_body=_make_schedule,
)
GROUP.add_action(
    "delete",
    "update_task",
    "Remove the schedule of a task, which stays.",
    "{name} has no schedule any more.",
    make_body=lambda *_: {"is_scheduled": False, "schedule_enabled": False, "schedule_cron": None},
)
GROUP.add_action(
    "pause",
    "pause_schedule",
    "Pause a schedule until it is resumed; running executions continue.",
    _print_state,
)
GROUP.add_action("resume", "resume_schedule", "Resume a paused schedule.", _print_state)


@GROUP.app.command()
@with_optional_watching
def trigger(context: typer.Context, task: TaskName, how: Following) -> None:
    """Run a scheduled task now, as if it were due, even if its schedule is paused.

    With `--watch` the exit codes are those of `run`.
    """
    with open_client(context) as client:
        execution = client.start("trigger_schedule", task_id=find_resource(client, task)["id"])
        follow_started(client, execution, how)


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
    "Requested runs: {fires}",
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
