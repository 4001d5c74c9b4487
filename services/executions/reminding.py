"""Reminders and escalations of open input requests, at the times that the requests store."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.events import Event
from domain.executions.signals import SignalKind
from domain.people.requests import add_seconds, group_of, next_action_at
from persistence.db.database import Database
from persistence.executions import due_requests, events, input_requests, queries
from persistence.executions.signals import append_signal
from persistence.identity import groups
from persistence.ledger import audit
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow
from services.executions.due_requests import BATCH, act_or_postpone
from services.ports import WorkflowServer


async def act_on_due(
    database: Database, workflows: WorkflowServer, now: datetime | None = None
) -> int:
    """Recall and escalate the open requests whose time has come; return their number.

    Any number of workers may do it: each looks again under the lock of the execution. A request
    that fails is tried again later, so that it delays no other (`due_requests`).
    """
    at = now or datetime.now(UTC)
    due = await due_requests.list_due_for_action(database, at, limit=BATCH)
    for request_id, execution_id in due:
        act = partial(_act_on_one, database, workflows, request_id, execution_id, at)
        await act_or_postpone(database, request_id, act, field="next_action_at", now=at)
    return len(due)


async def _act_on_one(
    database: Database,
    workflows: WorkflowServer,
    request_id: UUID,
    execution_id: UUID,
    now: datetime,
) -> None:
    async with database.transaction() as session:
        execution = await queries.lock_existing(session, execution_id)
        is_escalated = await _act(session, execution, request_id, now)
    if is_escalated:
        await workflows.wake(execution.workflow_id)


async def _act(
    session: AsyncSession, execution: ExecutionRow, request_id: UUID, now: datetime
) -> bool:
    """Do what is due for one request of a locked execution; return whether it was escalated."""
    row = await input_requests.lock(session, request_id)
    is_open = row.status == "open" and execution.completed_at is None
    is_due = row.next_action_at is not None and row.next_action_at <= now
    if not (is_open and is_due):
        if execution.completed_at is not None:  # otherwise an answer may still be withdrawn
            row.next_action_at = None
        return False
    await _remind(session, row, now)
    is_escalated = row.on_expiry == "escalate" and row.due_at is not None and row.due_at <= now
    if is_escalated:
        await _escalate(session, row, now)
    row.next_action_at = next_action_at(row.reminders, row.on_expiry, row.due_at)
    await session.flush()
    return is_escalated


async def _remind(session: AsyncSession, row: InputRequestRow, now: datetime) -> None:
    """Send the reminders whose time has come, as one."""
    due = [r for r in row.reminders if _is_due(r["at"], now) and r["sent_at"] is None]
    if not due:
        return
    row.reminders = [{**r, "sent_at": now.isoformat()} if r in due else r for r in row.reminders]
    data = {"input_request_id": str(row.id), "kind": row.kind, "title": row.title}
    await events.append(
        session,
        row.execution_id,
        Event("input.reminded", {**data, "assignee": row.claimed_by or row.assignee}),
    )


def _is_due(at: str, now: datetime) -> bool:
    return datetime.fromisoformat(at) <= now


async def _escalate(session: AsyncSession, row: InputRequestRow, now: datetime) -> None:
    """Give a request that is past due to whom its task names, with a new due time."""
    plan = row.escalation or {}
    before = row.assignee
    name = group_of(plan["to"])
    hours = None if name is None else await groups.find_hours(session, name)
    row.assignee, row.on_expiry, row.escalation = plan["to"], plan["on_expiry"], None
    row.claimed_by, row.claimed_at = None, None
    row.assignments += 1
    row.due_at = add_seconds(now, plan["due_seconds"], hours)
    await session.flush()
    after_values = {"assignee": row.assignee, "execution_id": str(row.execution_id)}
    await events.append(
        session,
        row.execution_id,
        Event("input.escalated", {"input_request_id": str(row.id), "assignee": row.assignee}),
    )
    # The workflow waits until the former due time; it must learn the new one.
    await append_signal(
        session, row.execution_id, SignalKind.REQUEST_CHANGED, {"input_request_id": str(row.id)}
    )
    await audit.record(
        session,
        audit.ENGINE,
        "input_request.escalate",
        ("input_request", row.id),
        before={"assignee": before},
        after=after_values,
        owner_id=row.user_id,
    )
