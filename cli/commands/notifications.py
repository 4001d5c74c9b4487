"""`perdure notifications`: the messages that were sent by webhook, mail or Slack."""

from typing import Annotated

from cli import show
from cli.arguments import Reference, id_argument
from cli.resources import CommandGroup, Json, option

NONE_SENT = "No notifications were sent yet."
NotificationId = Annotated[
    str,
    id_argument(
        lambda client: next(client.iterate("list_notifications"), None),
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
    "event: type, by: kind, to: target.url|target.to|target.secret_ref, status, "
    "tries: attempt_count, next: next_attempt_at, id",
    nothing=NONE_SENT,
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


def _make_sample(given: Json, _: Json) -> Json:
    url, mailbox, slack = (given.get(name) for name in ("webhook", "email", "slack"))
    return {
        "webhook": {"url": url, "secret_ref": given.get("secret")} if url else None,
        "email": {"to": mailbox} if mailbox else None,
        "slack": {"secret_ref": slack} if slack else None,
    }


GROUP.add_action(
    "test",
    "test_notification",
    "Send a sample the way all notifications go.",
    "Under way: {id}; `perdure notifications show last` shows the outcome.",
    of=Reference(),
    options={
        "webhook": option("A webhook.", metavar="URL"),
        "secret": option("The name of the webhook's signing key."),
        "email": option("A mailbox.", metavar="ADDRESS"),
        "slack": option("The secret that holds Slack's address.", metavar="SECRET"),
    },
    make_body=_make_sample,
)
