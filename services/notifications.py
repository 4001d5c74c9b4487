"""Notifications: tests of a target, repeated deliveries, and the start of deliveries."""

import asyncio
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from definitions.notifications import EmailTarget, SlackTarget, WebhookTarget
from domain.errors import FieldProblem, InvalidInputError
from domain.people.notifications import Kind
from persistence.db.database import Database
from persistence.notifications import deliveries, queries
from persistence.tables.ledger import NotificationRow
from services.caller import Caller
from services.definitions.notification_rules import TargetRules
from services.field_types import Body
from services.ports import WorkflowServer
from services.unit_of_work import UnitOfWork

BATCH = 20
"""Deliveries that are started concurrently (chosen)."""

log = structlog.get_logger(__name__)


class NotificationTest(Body):
    """The target of a test notification: exactly one of these."""

    webhook: WebhookTarget | None = None
    email: EmailTarget | None = None
    slack: SlackTarget | None = None


async def find_notification(
    session: AsyncSession, caller: Caller, notification_id: UUID
) -> NotificationRow:
    """Return a notification of the caller."""
    return caller.own(await queries.find(session, notification_id), "notification", notification_id)


async def send_test(work: UnitOfWork, body: NotificationTest) -> NotificationRow:
    """Store a test notification, which is delivered like any other."""
    kind, target = await _check_target(work, body)
    row = await queries.create_test(work.session, work.caller.user_id, kind, target)
    entity = ("notification", row.id)
    await work.record_audit("notification.test", entity, after={"kind": row.kind})
    return row


async def redeliver(work: UnitOfWork, notification_id: UUID) -> NotificationRow:
    """Store a new delivery of the same message, with the same message id.

    Raises:
        ConflictError: it is still being delivered.
    """
    notification = await find_notification(work.session, work.caller, notification_id)
    row = await queries.redeliver(work.session, notification)
    execution_id = None if row.execution_id is None else str(row.execution_id)
    await work.record_audit(
        "notification.redeliver",
        ("notification", row.id),
        after={"message_id": str(row.message_id), "execution_id": execution_id},
        owner_id=row.user_id,
    )
    return row


async def start_due_deliveries(database: Database, workflows: WorkflowServer) -> int:
    """Start the workflows of deliveries that are due. Return the number of deliveries.

    A delivery whose workflow has ended without a result is marked as failed.
    """
    async with database.transaction() as session:
        due = await deliveries.take_due(session, limit=BATCH)
    if not due:
        return 0
    starts = [workflows.start_delivery(delivery.id, delivery.facts) for delivery in due]
    ids = [delivery.id for delivery in due]
    is_running = dict(zip(ids, await asyncio.gather(*starts), strict=True))
    async with database.transaction() as session:
        await deliveries.mark_started(session, [key for key in ids if is_running[key]])
        for notification_id in (key for key in ids if is_running[key] is False):
            log.warning("notifications.workflow_ended", notification_id=str(notification_id))
            await deliveries.give_up(session, notification_id)
    return len(due)


async def _check_target(work: UnitOfWork, body: NotificationTest) -> tuple[Kind, dict[str, Any]]:
    targets = {Kind(field): target for field, target in body if target is not None}
    if len(targets) != 1:
        problem = FieldProblem(("body",), "Give exactly one target: webhook, email or slack.")
        raise InvalidInputError("The test notification needs one target; see errors.", [problem])
    rules = TargetRules(work, work.caller.user_id)
    problems: list[FieldProblem] = []
    if body.webhook is not None:
        problems += await rules.webhook_problems(body.webhook, ("body", "webhook"))
    if body.slack is not None:
        problems += await rules.slack_problems(body.slack, ("body", "slack"))
    if problems:
        raise InvalidInputError("The target is invalid; see errors.", problems)
    [(kind, target)] = targets.items()
    return kind, target.model_dump(mode="json", exclude={"events"}, exclude_none=True)
