"""Notifications, from rows to what clients read."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.request_context import Call
from api.http.responses import answer
from api.http.schemas import from_row
from api.notifications.schemas import AttemptRead, NotificationDetail, NotificationRead
from domain.notifications import Kind
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow


def render_notification(_: Call, row: NotificationRow) -> NotificationRead:
    """Return a notification as its owner reads it."""
    target = _mask_target(row)
    return from_row(NotificationRead, row, target=target, attempt_count=row.attempts)


def render_notification_detail(
    call: Call, row: NotificationRow, attempts: Sequence[NotificationAttemptRow]
) -> NotificationDetail:
    """Return a notification with its payload and its attempts."""
    return NotificationDetail(
        **dict(render_notification(call, row)),
        payload=row.payload,
        attempts=[from_row(AttemptRead, attempt) for attempt in attempts],
    )


async def respond_accepted(call: Call, _: AsyncSession, row: NotificationRow) -> Response:
    """Respond with a notification that will be delivered."""
    read = render_notification(call, row)
    return answer(read, 202, {"Location": read.links["self"]})


def _mask_target(row: NotificationRow) -> dict[str, Any]:
    """Return the target without what may be secret: a query, and the path of a Slack URL."""
    target = {name: value for name, value in row.target.items() if value is not None}
    if "url" in target:
        parts = urlsplit(target["url"])
        path = "/…" if row.kind == Kind.SLACK else parts.path
        target["url"] = f"{parts.scheme}://{parts.netloc}{path}"
    return target
