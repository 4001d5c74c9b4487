"""Routes of notifications: read them, repeat their delivery, test a target."""

from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.rendering import render_page
from api.http.request_context import Called
from api.http.responses import single
from api.notifications.schemas import NotificationDetail, NotificationRead
from api.notifications.views import (
    render_notification,
    render_notification_detail,
    respond_accepted,
)
from persistence.notifications import queries
from persistence.notifications.queries import NotificationFilter
from services import notifications as services
from services.inputs import NotificationTest

router = APIRouter(prefix="/notifications", tags=["notifications"])


class NotificationQuery(ListQuery):
    """Filters of a list of notifications."""

    status: Literal["pending", "delivered", "failed"] | None = None
    kind: Literal["webhook", "email", "slack"] | None = None
    execution_id: UUID | None = None


@router.get("", responses={200: {"model": Listing[NotificationRead]}})
async def list_notifications(
    call: Called, query: Annotated[NotificationQuery, Query()]
) -> Response:
    """List the notifications of your executions, newest first."""
    filters = NotificationFilter(query.status, query.kind, query.execution_id)
    async with call.gateway.database.reading() as session:
        page = await queries.page(session, call.principal.user_id, filters, query.window())
    return render_page(call, query, page, render_notification)


@router.post("/test", status_code=202, responses={202: {"model": NotificationRead}})
async def test_notification(
    call: Called, body: Annotated[NotificationTest, Depends(JsonBody(NotificationTest))]
) -> Response:
    """Send a test notification to a target. Read the notification to see the result."""
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
