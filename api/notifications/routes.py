"""Notifications: list, read, redeliver and test."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.notifications.schemas import (
    AttemptRead,
    NotificationDetail,
    NotificationRead,
    NotificationTest,
)
from domain.errors import FieldProblem, InvalidInputError, NotFoundError
from domain.notifications import Kind
from persistence.ledger import audit
from persistence.notifications import queries
from persistence.notifications.queries import NotificationFilter
from persistence.tables.notifications import NotificationRow
from services.definitions.notification_rules import TargetRules
from services.unit_of_work import UnitOfWork

router = APIRouter(prefix="/notifications", tags=["notifications"])


class NotificationQuery(ListQuery):
    """Filters for notifications."""

    status: Literal["pending", "delivered", "failed"] | None = None
    kind: Literal["webhook", "email", "slack"] | None = None
    execution_id: UUID | None = None


@router.get("", responses={200: {"model": Listing[NotificationRead]}})
async def list_notifications(
    call: Called, query: Annotated[NotificationQuery, Query()]
) -> Response:
    """List the notifications of your executions, newest first."""
    narrowed = NotificationFilter(query.status, query.kind, query.execution_id)
    async with call.gateway.database.reading() as session:
        page = await queries.page(session, call.principal.user_id, narrowed, query.window())
    return answer(listing(call.request, query, page, [read_of(row) for row in page.rows]))


@router.post("/test", status_code=202, responses={202: {"model": NotificationRead}})
async def test_notification(
    call: Called, body: Annotated[NotificationTest, Depends(JsonBody(NotificationTest))]
) -> Response:
    """Send a test notification with the usual delivery. The response links to its result."""

    async def store(session: AsyncSession) -> tuple[Response, None]:
        kind, target = await _checked(session, call, body)
        row = await queries.create_test(session, call.principal.user_id, kind, target)
        entity = ("notification", row.id)
        await audit.record(
            session, call.actor, "notification.test", entity, after={"kind": row.kind}
        )
        return _accepted(row), None

    return (await run_once(call, store)).response


# The path matches only ids, so that it does not match `test`.
@router.get("/{notification_id:uuid}", responses={200: {"model": NotificationDetail}})
async def get_notification(call: Called, notification_id: UUID) -> Response:
    """Get a notification with its content and all attempts."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, notification_id)
        tries = await queries.list_attempts(session, row.id)
    fields = AttemptRead.model_fields
    detail = NotificationDetail(
        **read_of(row).model_dump(),
        payload=row.payload,
        attempts=[AttemptRead(**{f: getattr(one, f) for f in fields}) for one in tries],
    )
    return single(call.request, detail)


@router.post(
    "/{notification_id}/redeliver", status_code=202, responses={202: {"model": NotificationRead}}
)
async def redeliver_notification(call: Called, notification_id: UUID) -> Response:
    """Deliver a notification again with the same message id, even if it was delivered."""

    async def store(session: AsyncSession) -> tuple[Response, None]:
        row = await _own(session, call, notification_id)
        again = await queries.redeliver(session, row)
        entity = ("notification", again.id)
        after = {"message_id": str(again.message_id), "execution_id": _text(again.execution_id)}
        await audit.record(
            session,
            call.actor,
            "notification.redeliver",
            entity,
            after=after,
            owner_id=again.user_id,
        )
        return _accepted(again), None

    return (await run_once(call, store)).response


def read_of(row: NotificationRow) -> NotificationRead:
    """A notification, for its owner."""
    path = f"{links.BASE}/notifications/{row.id}"
    related = {"self": path, "redeliver": f"{path}/redeliver"}
    if row.execution_id is not None:
        related["execution"] = links.execution_path(row.execution_id)
    columns = {f: getattr(row, f) for f in NotificationRead.model_fields if hasattr(row, f)}
    return NotificationRead(
        **{**columns, "target": _shown(row)}, attempt_count=row.attempts, links=related
    )


def _shown(row: NotificationRow) -> dict[str, Any]:
    """The recipient without possible tokens: the query, and the path of a Slack URL."""
    shown = {name: value for name, value in row.target.items() if value is not None}
    if "url" in shown:
        parts = urlsplit(shown["url"])
        path = "/…" if row.kind == Kind.SLACK else parts.path
        shown["url"] = f"{parts.scheme}://{parts.netloc}{path}"
    return shown


async def _checked(
    session: AsyncSession, call: Call, body: NotificationTest
) -> tuple[Kind, dict[str, Any]]:
    work = UnitOfWork(session, call.caller, call.services)
    rules = TargetRules(work, call.principal.user_id)
    given = {Kind(f): getattr(body, f) for f in ("webhook", "email", "slack") if getattr(body, f)}
    if len(given) != 1:
        problem = FieldProblem(("body",), "Specify exactly one recipient: webhook, email or slack.")
        raise InvalidInputError("The request needs exactly one recipient; see errors.", [problem])
    [(kind, target)] = given.items()
    problems: list[FieldProblem] = []
    if body.webhook is not None:
        problems += await rules.webhook(body.webhook, ("body", "webhook"))
    if body.slack is not None:
        problems += await rules.slack(body.slack, ("body", "slack"))
    if problems:
        raise InvalidInputError("The recipient is invalid; see errors.", problems)
    return kind, target.model_dump(mode="json", exclude={"events"}, exclude_none=True)


def _accepted(row: NotificationRow) -> Response:
    read = read_of(row)
    return answer(read, 202, {"Location": read.links["self"]})


async def _own(session: AsyncSession, call: Call, notification_id: UUID) -> NotificationRow:
    row = await queries.find(session, notification_id)
    if row is None:
        raise NotFoundError(f"Notification {notification_id} does not exist.")
    call.require_own(row.user_id, "notification")
    return row


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
