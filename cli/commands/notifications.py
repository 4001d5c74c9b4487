"""`perdure notifications`: what was told to whom outside."""

from typing import Annotated

import typer

from cli.commands.connection import LAST, checked_id, gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="notifications", help="What was told to whom outside.", no_args_is_help=True)


def _notification(context: typer.Context, given: str) -> str:
    """The id, where `last` stands for the newest one."""
    from cli.exits import CommandError

    if given != LAST:
        return checked_id(given, "notifications list")
    with gateway_of(context) as gateway:
        for notification in gateway.items("/notifications"):
            return str(notification["id"])
    raise CommandError("Nothing was told to anybody yet.")


NotificationId = Annotated[
    str, typer.Argument(metavar="ID", help="Its id, or `last`.", callback=_notification)
]


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


@app.command("test")
def send_sample(
    context: typer.Context,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="A webhook.")] = None,
    secret: Annotated[str | None, typer.Option(help="The webhook's signing key.")] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A mailbox.")] = None,
    slack: Annotated[
        str | None, typer.Option(metavar="SECRET", help="The secret that holds Slack's address.")
    ] = None,
) -> None:
    """Send a sample the way all notifications go."""
    from cli import show

    body = {
        "webhook": {"url": webhook, "secret_ref": secret} if webhook else None,
        "email": {"to": email} if email else None,
        "slack": {"secret_ref": slack} if slack else None,
    }
    with gateway_of(context) as gateway:
        made = gateway.post("/notifications/test", body)
    show.out.print(f"Under way: {made['id']}; `perdure notifications show last` says how it went.")
