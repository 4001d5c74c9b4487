"""Routes of notifications: read them, repeat their delivery, test a target."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ResourceQuery
from api.http.rendering import render_page
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.http.schemas import Read, from_row
from api.links import BASE
from domain.people.notifications import Kind
from persistence.notifications import queries
from persistence.tables.ledger import NotificationAttemptRow, NotificationRow
from services import notifications as services
from services.notifications import NotificationTest


class NotificationRead(Read):
    """One message to one target; parts of URLs that may be secret are left out."""

    paths = {
        "self": "/notifications/{id}",
        "redeliver": "/notifications/{id}/redeliver",
        "execution": "/task-executions/{execution_id}",
    }

    id: UUID
    message_id: UUID
    execution_id: UUID | None
    event_seq: int | None
    type: str
    kind: str
    target: dict[str, Any]
    status: str
    error: str | None
    attempt_count: int
    next_attempt_at: datetime | None
    created_at: datetime
    completed_at: datetime | None


class AttemptRead(BaseModel):
    """One attempt. It has no duration while it is in progress, or if the worker died during it."""

    number: int
    started_at: datetime
    duration_ms: int | None
    status_code: int | None
    error: str | None
    excerpt: Annotated[str | None, Field(description="The start of the receiver's response.")]


class NotificationDetail(NotificationRead):
    """A notification with its payload and its attempts."""

    payload: dict[str, Any] | None
    attempts: list[AttemptRead]


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


router = APIRouter(prefix=f"{BASE}/notifications", tags=["notifications"])


class NotificationQuery(ResourceQuery):
    """Filters of a list of notifications."""

    status: Literal["pending", "delivered", "failed"] | None = None
    kind: Literal["webhook", "email", "slack"] | None = None
    execution_id: UUID | None = None


@router.get("", responses={200: {"model": Listing[NotificationRead]}})
async def list_notifications(
    call: Called, query: Annotated[NotificationQuery, Query()]
) -> Response:
    """List the notifications of your executions, newest first."""
    async with call.gateway.database.reading() as session:
        page = await queries.page(session, call.principal.user_id, query.filters(), query.window())
    return render_page(call, query, page, render_notification)


@router.post("/test", status_code=202, responses={202: {"model": NotificationRead}})
async def test_notification(
    call: Called, body: Annotated[NotificationTest, Depends(JsonBody(NotificationTest))]
) -> Response:
    """Send a test notification to a target. Read the notification to see the result."""
    if call.gateway.notification_tests is not None:
        call.gateway.notification_tests.count(str(call.principal.user_id))
    service = partial(services.send_test, body=body)
    return await run_service(call, service, respond_accepted)


# The path accepts ids only, so that `test` exists for POST only.
@router.get("/{notification_id:uuid}", responses={200: {"model": NotificationDetail}})
async def get_notification(call: Called, notification_id: UUID) -> Response:
    """Get a notification with its payload and its attempts."""
    async with call.gateway.database.reading() as session:
        row = await services.find_notification(session, call.caller, notification_id)
        attempts = await queries.list_attempts(session, row.id)
    return single(call.request, render_notification_detail(call, row, attempts))


@router.post(
    "/{notification_id}/redeliver", status_code=202, responses={202: {"model": NotificationRead}}
)
async def redeliver_notification(call: Called, notification_id: UUID) -> Response:
    """Deliver the same message again, with the same message id."""
    service = partial(services.redeliver, notification_id=notification_id)
    return await run_service(call, service, respond_accepted)
