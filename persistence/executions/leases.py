"""Leases of external executions: which worker has the work, and until when.

A lease has a token. It ends when its time has passed on the database's clock, when the worker ends
the work or puts it back, and when the execution ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.external_work import MOST_LOST_ATTEMPTS
from domain.executions.states import WORKER_BLOCKED, ExecutionStatus, require_transition
from persistence.db import sql
from persistence.db.database import to_json
from persistence.db.raw_connection import Connected, fetch_rows
from persistence.executions.stored_work import SELECT_WORK, StoredWork, read_work, with_types
from persistence.ledger.audit import ENGINE, INSERT_BY_ACTOR, Actor
from persistence.tables.executions import CLAIMABLE, ExecutionRow

for after in (ExecutionStatus.PENDING, ExecutionStatus.BLOCKED):
    require_transition(ExecutionStatus.RUNNING, after)
require_transition(ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
require_transition(ExecutionStatus.BLOCKED, ExecutionStatus.PENDING)

_AVAILABLE = f"{CLAIMABLE} AND cancel_requested_at IS NULL AND pause_requested_at IS NULL"

_RUNNING = "executor = 'external' AND status = 'running'"

HELD = f"""{_RUNNING} AND lease_token = :lease_token AND lease_expires_at > clock_timestamp()
    AND cancel_requested_at IS NULL"""

_EXPIRED = f"{_RUNNING} AND lease_expires_at <= clock_timestamp() AND cancel_requested_at IS NULL"
"""The workflow of a cancelled execution ends it."""

_GIVE_LEASE = f"""claimed AS (
    UPDATE executions e SET
        status = 'running', status_reason = NULL, started_at = coalesce(e.started_at, now()),
        claimed_by = :claimed_by, claimed_at = clock_timestamp(), lease_token = :lease_token,
        lease_seconds = :lease_seconds, event_seq = e.event_seq + 1,
        lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds)
    FROM picked WHERE e.id = picked.id
    RETURNING e.*, picked.started_at IS NULL AS is_first
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, CASE WHEN is_first THEN 'execution.started'
        ELSE 'execution.status_changed' END,
        json_build_object('status', 'running', 'claimed_by', claimed_by)
    FROM claimed
),
audited AS (
    {INSERT_BY_ACTOR}, user_id, 'execution.claim', 'execution', id,
        json_build_object('claimed_by', claimed_by, 'lease_seconds', lease_seconds)
    FROM claimed
)
{SELECT_WORK}"""  # noqa: S608 - our own names

AUDIT_REPORT = f"""{INSERT_BY_ACTOR}, user_id, 'execution.report', 'execution', id,
        CAST(:audited AS json)"""

STORE_REPORT = "summary = coalesce(:summary, e.summary), result_data = CAST(:result AS json)"
"""A report without a summary keeps that of the work."""

_SQL = sql.load(
    "executions/leases.sql",
    available=_AVAILABLE,
    give_lease=_GIVE_LEASE,
    select_work=SELECT_WORK,
    store_report=STORE_REPORT,
    audit_report=AUDIT_REPORT,
    held=HELD,
    running=_RUNNING,
    expired=_EXPIRED,
    most_lost=str(MOST_LOST_ATTEMPTS),
    blocked_to_pending="status = 'blocked'",
    worker_blocked=sql.quote([WORKER_BLOCKED]),
)

_CLAIMS = {
    name: with_types(_SQL[name])
    for name in ("claim_next", "claim_next_of_agent", "claim_next_without_agent", "claim", "read")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease that a worker requests."""

    claimed_by: str
    seconds: float
    actor: Actor = ENGINE

    def parameters(self) -> dict[str, Any]:
        """The parameters of a claim, with a new token."""
        return {
            **self.actor.parameters(),
            "claimed_by": self.claimed_by,
            "lease_seconds": self.seconds,
            "lease_token": uuid4(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker reports; `audited` goes into the audit log."""

    summary: str | None
    result: Mapping[str, Any]
    audited: Mapping[str, Any]

    def parameters(self, token: UUID, actor: Actor) -> dict[str, object]:
        """The parameters of a statement that stores it under this lease."""
        return {
            **actor.parameters(),
            "lease_token": token,
            "summary": self.summary,
            "result": to_json(self.result),
            "audited": to_json(self.audited),
        }


async def claim_next(on: Connected, user_id: UUID, lease: Lease) -> StoredWork | None:
    """Give the user's claimable execution with the highest priority, the oldest of these first."""
    return await _claim(on, "claim_next", {**lease.parameters(), "user_id": user_id})


async def claim_next_of(
    on: Connected, user_id: UUID, agent_ids: Sequence[str | None], lease: Lease
) -> StoredWork | None:
    """As `claim_next`, for the work of these agents; None among them: work that names no agent."""
    ordered = agent_ids
    if len(agent_ids) != 1:
        ordered = await _list_first(on, user_id, agent_ids, limit=1)
    for agent_id in ordered:
        parameters = {**lease.parameters(), "user_id": user_id}
        name = "claim_next_without_agent"
        if agent_id is not None:
            parameters["agent_id"], name = agent_id, "claim_next_of_agent"
        found = await _claim(on, name, parameters)
        if found is not None:
            return found
    return None


async def _claim(on: Connected, name: str, parameters: Mapping[str, Any]) -> StoredWork | None:
    found = await fetch_rows(on, _CLAIMS[name], parameters)
    return read_work(found[0]) if found else None


async def count_claimable(
    session: AsyncSession, user_id: UUID, agent_ids: Sequence[str | None] | None, *, limit: int
) -> int:
    """How many executions of these agents (None: of all) can be claimed, up to `limit`."""
    if agent_ids is not None:
        return len((await _list_first(session, user_id, agent_ids, limit=limit))[:limit])
    parameters = {"user_id": user_id, "limit": limit}
    found: int = await session.scalar(_SQL["count_available"], parameters) or 0
    return found


async def _list_first(
    on: Connected, user_id: UUID, agent_ids: Sequence[str | None], *, limit: int
) -> Sequence[str | None]:
    """The agents of the first claimable executions, at most `limit` of each agent."""
    parameters = {"user_id": user_id, "agent_ids": list(agent_ids), "limit": limit}
    return [row.agent_id for row in await fetch_rows(on, _SQL["list_first"], parameters)]


async def claim(on: Connected, execution_id: UUID, lease: Lease) -> StoredWork | None:
    """Give one locked execution; None if it is not claimable."""
    return await _claim(on, "claim", {**lease.parameters(), "execution_id": execution_id})


async def read(on: Connected, execution_id: UUID) -> StoredWork | None:
    """An execution as a claim returns it."""
    return await _claim(on, "read", {"execution_id": execution_id})


async def renew(
    session: AsyncSession,
    execution_id: UUID,
    token: UUID,
    *,
    seconds: float | None = None,
    has_progress: bool = False,
) -> datetime | None:
    """Extend a lease, and return its new end; None if it has ended."""
    parameters = {
        "execution_id": execution_id,
        "lease_token": token,
        "lease_seconds": seconds,
        "has_progress": has_progress,
    }
    expires_at: datetime | None = await session.scalar(_SQL["renew"], parameters)
    return expires_at


async def is_held(session: AsyncSession, execution_id: UUID, token: UUID) -> bool:
    """Whether the lease of a locked execution with this token has not ended."""
    parameters = {"execution_id": execution_id, "lease_token": token}
    return await session.scalar(_SQL["is_held"], parameters) is not None


async def put_back(
    session: AsyncSession,
    row: ExecutionRow,
    reason: str,
    *,
    status: ExecutionStatus = ExecutionStatus.PENDING,
    is_lost: bool = False,
    has_progress: bool = False,
    message: str | None = None,
) -> None:
    """End the lease of a locked running execution: it is pending or blocked for this reason.

    `is_lost` counts an attempt without progress; with `has_progress` the count starts again.
    """
    parameters = {
        "execution_id": row.id,
        "status": status,
        "reason": reason,
        "is_lost": is_lost,
        "has_progress": has_progress,
        "message": message,
    }
    await session.execute(_SQL["put_back"], parameters)
    await session.refresh(row)


async def unblock(session: AsyncSession, row: ExecutionRow) -> bool:
    """Make a locked execution pending that its worker blocked; False if it is not such a one."""
    found = await session.scalar(_SQL["unblock"], {"execution_id": row.id})
    await session.refresh(row)
    return found is not None


async def store_report(
    session: AsyncSession, execution_id: UUID, token: UUID, report: Report, *, actor: Actor
) -> bool:
    """Store what the worker of a locked execution has reported, in place of an earlier report.

    Returns False if the lease has ended.
    """
    parameters = {**report.parameters(token, actor), "execution_id": execution_id}
    return await session.scalar(_SQL["store_report"], parameters) is not None


async def return_expired(on: Connected, *, limit: int) -> int:
    """Make executions pending whose lease ran out, at most `limit`; returns how many."""
    return len(await fetch_rows(on, _SQL["return_expired"], {"limit": limit}))


async def list_lost(on: Connected, *, limit: int) -> Sequence[UUID]:
    """Executions whose lease ran out once more than allowed: they must fail."""
    return [row.id for row in await fetch_rows(on, _SQL["list_lost"], {"limit": limit})]


async def is_lost(session: AsyncSession, execution_id: UUID) -> bool:
    """Whether a locked execution is still one of `list_lost`."""
    return await session.scalar(_SQL["is_lost"], {"execution_id": execution_id}) is not None
