"""`perdure notifications`: what was told to whom outside."""

from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="notifications", help="What was told to whom outside.")
NotificationId = Annotated[str, typer.Argument(metavar="ID")]


@app.command("list")
def list_notifications(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    execution: Annotated[str | None, typer.Option(help="Of this execution.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List notifications, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/notifications", status=status, execution_id=execution, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("event", "by", "to", "status", "tries", "next", "id"),
        [
            (
                n["type"],
                n["kind"],
                n["target"].get("url") or n["target"].get("to") or n["target"].get("secret_ref"),
                n["status"],
                n["attempt_count"],
                show.when(n["next_attempt_at"]),
                n["id"],
            )
            for n in page["items"]
        ],
        nothing="Nothing was told to anybody.",
    )


@app.command("show")
def show_notification(
    context: typer.Context, notification_id: NotificationId, *, as_json: AsJson = False
) -> None:
    """Show a notification, what it says, and every try to deliver it."""
    from cli import show

    with gateway_of(context) as gateway:
        found = gateway.get(f"/notifications/{notification_id}")
    if as_json:
        show.as_json(found)
        return
    show.fields({name: value for name, value in found.items() if name != "attempts"})
    show.rows(
        ("try", "at", "ms", "answer", "what"),
        [
            (
                one["number"],
                show.when(one["started_at"]),
                one["duration_ms"],
                one["status_code"],
                one["error"] or one["excerpt"] or "",
            )
            for one in found["attempts"]
        ],
        nothing="Not tried yet.",
    )


@app.command()
def redeliver(context: typer.Context, notification_id: NotificationId) -> None:
    """Deliver the same message again."""
    from cli import show

    with gateway_of(context) as gateway:
        again = gateway.post(f"/notifications/{notification_id}/redeliver")
    show.out.print(f"Under way: {again['id']}")
