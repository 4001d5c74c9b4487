"""`perdure usage` and `perdure me`: what executions took, and what there is left."""

from typing import Annotated, Any, Literal

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

Grouping = Literal["day", "task", "model", "user"]

NAMES = {"day": "day", "task": "task_name", "model": "model", "user": "user"}
HOUR = 3600
MINUTE = 60
TEN_MINUTES = 600


def add_to(app: typer.Typer) -> None:
    """Put these commands into the application."""
    app.command()(usage)
    app.command()(me)


def usage(
    context: typer.Context,
    by: Annotated[Grouping, typer.Option(help="What to add up by.")] = "day",
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day. (default: 30 days)")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="The last day. (default: today)")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="ID", help="Only of this task.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show executions, tokens, cost and people's time, by day, task, model or user (UTC)."""
    from cli import show

    query = {"group_by": by, "from": since, "to": until, "task_id": task}
    with gateway_of(context) as gateway:
        found = gateway.get("/usage", **query)
    if as_json:
        show.as_json(found)
        return
    items = [(group[NAMES[by]] or "-", group) for group in found["items"]]
    rows = [_row(name, group) for name, group in items]
    if rows:
        rows.append(_row("all", found["totals"]))
    show.rows(
        (by, "executions", "done", "tokens in", "cached", "out", "cost", "running", "waited"),
        rows,
        nothing=f"Nothing ran from {found['from']} to {found['to']}.",
    )
    if found["is_capped"]:
        show.out.print("There are more; these cost most.")


def me(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show who I am to the gateway, what I may do, and how much of it is used up."""
    from cli import show

    with gateway_of(context) as gateway:
        found = gateway.get("/me")
    if as_json:
        show.as_json(found)
        return
    shown, quotas, used = found["credentials"], found["quotas"], found["usage"]
    most, usd = quotas["max_concurrent_executions"], quotas["max_usd_per_day"]
    at_once, today = used["concurrent_executions"], show.money(used["usd_today"])
    show.fields(
        {
            "subject": found["subject"],
            "role": found["role"],
            "known by": shown["kind"].replace("_", " "),
            "until": show.when(shown["expires_at"]),
            "unfinished executions": f"{at_once} of {most}" if most is not None else at_once,
            "spent today": f"{today} of {show.money(usd)}" if usd is not None else today,
            "id": found["id"],
        }
    )


def _row(name: str, sums: dict[str, Any]) -> tuple[object, ...]:
    from cli import show

    rate = sums["success_rate"]
    return (
        name,
        f"{sums['executions']:,}",
        "-" if rate is None else f"{rate:.0%}",
        f"{sums['input_tokens'] + sums['cache_write_tokens']:,}",
        f"{sums['cache_read_tokens']:,}",
        f"{sums['output_tokens']:,}",
        show.money(sums["cost_usd"]),
        _length(sums["running_seconds"]),
        _length(sums["human_wait_seconds"]),
    )


def _length(seconds: float) -> str:
    if seconds >= HOUR:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / MINUTE:.0f} min" if seconds >= TEN_MINUTES else f"{seconds:.1f} s"
