"""`perdure notifications`: the messages that were sent by webhook, mail or Slack."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import Reference, id_argument, open_client
from cli.command_groups.resources import CommandGroup, Json, TableView, option
from cli.exits import Exit
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client

TRY_SECONDS = 30.0
"""A receiver has ten seconds to answer, and a worker starts the delivery at once (chosen)."""
POLL_SECONDS = 0.2

NONE_SENT = "No notifications were sent yet."
NotificationId = Annotated[
    str,
    id_argument(
        lambda client: next(client.iterate("list_notifications"), None),
        "list_notifications",
        lister="notifications list",
        missing=NONE_SENT,
    ),
]
GROUP = CommandGroup(
    "notifications",
    "Messages sent by webhook, mail or Slack.",
    Reference({"notification_id": NotificationId}),
)


GROUP.add_list(
    "list_notifications",
    "List notifications, newest first.",
    TableView(
        "event: type, by: kind, to: target.url|target.to|target.secret_ref, status, "
        "tries: attempt_count, next: next_attempt_at, id",
        nothing=NONE_SENT,
    ),
    options={
        "status": option("pending, delivered or failed."),
        "execution_id": option("Notifications of this execution.", "--execution"),
    },
    limit=20,
)


def _print_notification(notification: Json) -> None:
    attempts = notification.pop("attempts")
    show.print_fields(notification)
    show.print_items(
        attempts,
        "try: number, at: started_at, ms: duration_ms, answer: status_code, what: error|excerpt?",
        nothing="Not tried yet.",
    )


GROUP.add_show(
    "Show a notification, its content, and every attempt to deliver it.",
    "get_notification",
    view=_print_notification,
)
GROUP.add_action(
    "redeliver", "redeliver_notification", "Deliver the same message again.", "Under way: {id}"
)


def _make_sample(given: Json) -> Json:
    url, mailbox, slack = (given.get(name) for name in ("webhook", "email", "slack"))
    return {
        "webhook": {"url": url, "secret_ref": given.get("secret")} if url else None,
        "email": {"to": mailbox} if mailbox else None,
        "slack": {"secret_ref": slack} if slack else None,
    }


def send_test(client: "Client", given: Json) -> Json:
    """Send a sample, and wait for the result of the first attempt."""
    notification = client.start("test_notification", _make_sample(given))
    deadline = time.monotonic() + TRY_SECONDS
    while not _was_tried(notification) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        notification = client.call("get_notification", notification_id=notification["id"])
    return dict(notification)


def _was_tried(notification: Json) -> bool:
    """Whether an attempt has ended: each is recorded before it is made."""
    return any(attempt["duration_ms"] is not None for attempt in notification.get("attempts", ()))


@GROUP.app.command("test")
@with_output
def send_sample(
    context: typer.Context,
    webhook: Annotated[str | None, typer.Option(metavar="URL", help="A webhook.")] = None,
    secret: Annotated[
        str | None, typer.Option(help="The name of the webhook's signing key.")
    ] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A mailbox.")] = None,
    slack: Annotated[
        str | None, typer.Option(metavar="SECRET", help="The secret that holds Slack's address.")
    ] = None,
    *,
    output: str,
) -> None:
    """Send a sample the way all notifications go; exit with 1 if it was not delivered."""
    given = {"webhook": webhook, "secret": secret, "email": email, "slack": slack}
    with open_client(context) as client, show.err.status("sending"):
        notification = send_test(client, given)
    show.print_answer(notification, output, _print_tested)
    if notification["status"] != "delivered":
        raise typer.Exit(Exit.FAILED)


def _print_tested(notification: Json) -> None:
    if notification["status"] == "delivered":
        show.out.print("Delivered.")
    else:
        _print_notification(notification)
