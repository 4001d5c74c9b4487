"""`perdure usage` and `perdure me`: what executions consumed, and what is left."""

from functools import partial
from typing import Annotated, Any, Literal

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import find_resource, open_client
from cli.arguments.times import parse_day
from cli.terminal import show

Grouping = Literal["day", "task", "model", "user"]

NAMES = {"day": "day", "task": "task_name", "model": "model", "user": "user"}
HOUR = 3600
MINUTE = 60
TEN_MINUTES = 600


@with_output
def usage(
    context: typer.Context,
    by: Annotated[Grouping, typer.Option(help="What to sum up by.")] = "day",
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            "--since",
            metavar="DAY",
            callback=parse_day,
            help="The first day: 2026-01-31, yesterday, or 7d for that long ago. (default: 30d)",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="DAY", callback=parse_day, help="The last day. (default: today)"
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Only this task.")
    ] = None,
    *,
    output: str,
) -> None:
    """Show executions, tokens, cost and people's time, by day, task, model or user (UTC)."""
    query: dict[str, Any] = {"group_by": by, "from": since, "to": until}
    with open_client(context) as client:
        if task is not None:
            query["task_id"] = find_resource(client, task)["id"]
        found = client.call("get_usage", **query)
    show.print_answer(found, output, partial(_print_usage, by=by))


def _print_usage(found: dict[str, Any], *, by: str) -> None:
    rows = [_make_row(group[NAMES[by]] or "-", group) for group in found["items"]]
    if rows:
        rows.append(_make_row("all", found["totals"]))
    show.print_rows(
        (by, "executions", "done", "tokens in", "cached", "out", "cost", "running", "waited"),
        rows,
        nothing=f"Nothing ran from {found['from']} to {found['to']}.",
    )
    if found["is_capped"]:
        show.out.print("There are more; these cost most.")


@with_output
def me(context: typer.Context, *, output: str) -> None:
    """Show your user, your role, and how much of your quotas is used."""
    with open_client(context) as client:
        found = client.call("get_me")
    show.print_answer(found, output, _print_me)


def _print_me(found: dict[str, Any]) -> None:
    shown, quotas, used = found["credentials"], found["quotas"], found["usage"]
    highest, usd = quotas["max_concurrent_executions"], quotas["max_usd_per_day"]
    limit, entries = quotas["max_stored_bytes"], f"{used['memory_entries']:,}"
    most_entries = quotas["max_memory_entries"]
    stored = show.format_bytes(used["stored_bytes"])
    running, today = used["concurrent_executions"], show.format_money(used["usd_today"])
    show.print_fields(
        {
            "subject": found["subject"],
            "role": found["role"],
            "known by": shown["kind"].replace("_", " "),
            "until": show.format_time(shown["expires_at"]),
            "unfinished executions": running if highest is None else f"{running} of {highest}",
            "spent today": today if usd is None else f"{today} of {show.format_money(usd)}",
            "stored": stored if limit is None else f"{stored} of {show.format_bytes(limit)}",
            "memory entries": entries if most_entries is None else f"{entries} of {most_entries:,}",
            "id": found["id"],
        }
    )


def _make_row(name: str, sums: dict[str, Any]) -> tuple[object, ...]:
    rate = sums["success_rate"]
    return (
        name,
        f"{sums['executions']:,}",
        "-" if rate is None else f"{rate:.0%}",
        f"{sums['input_tokens'] + sums['cache_write_tokens']:,}",
        f"{sums['cache_read_tokens']:,}",
        f"{sums['output_tokens']:,}",
        show.format_money(sums["cost_usd"]),
        _format_duration(sums["running_seconds"]),
        _format_duration(sums["human_wait_seconds"]),
    )


def _format_duration(seconds: float) -> str:
    if seconds >= HOUR:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / MINUTE:.0f} min" if seconds >= TEN_MINUTES else f"{seconds:.1f} s"
