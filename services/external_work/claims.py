"""Claims, heartbeats and releases of external executions by their workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.agents.agent import Agent
from domain.errors import LeaseLostError, NotClaimableError, NotFoundError
from domain.executions.external_work import WorkContext
from domain.executions.states import ExecutionStatus
from persistence.db.paging import Page, Window
from persistence.db.raw_connection import Connected
from persistence.definitions import agents
from persistence.executions import leases, queries
from persistence.executions.leases import Lease
from persistence.executions.queries import ExecutionFilter
from persistence.executions.stored_work import StoredWork
from persistence.tables.executions import ExecutionRow
from services.caller import Caller
from services.executions.access import get_own_execution
from services.external_work.context import describe_work
from services.external_work.inputs import ClaimBody, HeartbeatBody, ReleaseBody
from services.unit_of_work import UnitOfWork
from services.validation_messages import refuse_field

EXPIRED_PER_CLAIM = 100
"""Expired leases that a claim returns to the queue before it looks for work (chosen)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Work that a worker has, with the token of its lease, and what the worker needs to know."""

    stored: StoredWork
    lease_token: UUID
    context: WorkContext

    @property
    def row(self) -> ExecutionRow:
        """The execution; it belongs to no session."""
        return self.stored.row


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The state of the work. `lease_expires_at` is None if the work has ended.

    `must_stop`: it was cancelled, or has ended; the worker must stop.
    """

    row: ExecutionRow
    lease_expires_at: datetime | None
    must_stop: bool


async def claim(work: UnitOfWork, body: ClaimBody) -> Claim | None:
    """Give the caller's next execution, or the one with an id, to a worker. None: there is none.

    Raises:
        NotClaimableError: the execution with this id can't be claimed.
        NotFoundError: there is no work, and no agent of the name in the claim.
    """
    if body.execution_id is not None:
        row = await get_own_execution(work.session, work.caller, body.execution_id, lock=True)
        # After the lock, which may have to wait: this skips what others lock, and never waits.
        if await leases.return_expired(work.session, limit=EXPIRED_PER_CLAIM):
            await work.session.refresh(row)
        return await _claim_one(work, row, body)
    slugs = await list_agents(work.session, work.caller, body)
    lease = _make_lease(work, body)
    # This may commit before the response is made. If the process ends or rendering fails between,
    # the lease runs out, and the work returns to the queue or, the fifth time, fails.
    found = await _claim_next(work.connected, work.caller.user_id, slugs, lease)
    # A worker of Perdure returns expired work each second; nothing waits for it while there is
    # other work.
    if found is None and await leases.return_expired(work.session, limit=EXPIRED_PER_CLAIM):
        found = await _claim_next(work.session, work.caller.user_id, slugs, lease)
    if found is None:
        if body.agent_id is not None:
            await require_agent(work.session, work.caller, body.agent_id)
        return None
    return await _describe_claim(work, found)


def _make_lease(work: UnitOfWork, body: ClaimBody) -> Lease:
    worker = body.worker or work.caller.subject
    return Lease(claimed_by=worker, seconds=body.lease_seconds, actor=work.caller.actor)


async def _claim_next(
    on: Connected, user_id: UUID, slugs: Sequence[str | None] | None, lease: Lease
) -> StoredWork | None:
    if slugs is None:
        return await leases.claim_next(on, user_id, lease)
    return await leases.claim_next_of(on, user_id, slugs, lease)


async def list_agents(
    session: AsyncSession, caller: Caller, body: ClaimBody
) -> Sequence[str | None] | None:
    """The agents whose work a worker takes; None: of all. None among them: work without an agent.

    A worker with `capabilities` takes the work of agents that have no others.

    Raises:
        NotFoundError: the claim with capabilities names an agent that does not exist.
    """
    slug = body.agent_id
    if body.capabilities is None:
        return None if slug is None else [slug]
    if slug is not None:
        known: Sequence[Agent] = [await require_agent(session, caller, slug)]
    else:
        known = await agents.list_known(session, caller.user_id)
    able = [one.slug for one in known if set(one.capabilities) <= set(body.capabilities)]
    return [None, *able] if slug is None else able


async def claim_or_extend(work: UnitOfWork, execution_id: UUID, body: ClaimBody) -> Claim:
    """As `claim` with an id; a repeat by the worker that has the lease extends it.

    Raises:
        NotClaimableError: the execution can't be claimed.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    worker = body.worker or work.caller.subject
    if row.claimed_by == worker and row.lease_token is not None:
        seconds, token = body.lease_seconds, row.lease_token
        if await leases.renew(work.session, row.id, token, seconds=seconds) is not None:
            renewed = await leases.read(work.session, row.id)
            if renewed is not None:
                await work.record_audit(
                    "execution.claim",
                    ("execution", row.id),
                    after={"claimed_by": worker, "lease_seconds": seconds},
                    owner_id=row.user_id,
                )
                return await _describe_claim(work, renewed)
    claimed = await claim(work, body.model_copy(update={"execution_id": execution_id}))
    if claimed is None:
        raise NotFoundError(f"Execution {execution_id} does not exist.")
    return claimed


async def _claim_one(work: UnitOfWork, row: ExecutionRow, body: ClaimBody) -> Claim:
    if body.agent_id not in (None, row.agent_id):
        hint = f"Execution {row.id} is not for this agent; leave agent_id out."
        raise refuse_field("The claim is invalid; see errors.", "agent_id", hint)
    claimed = await leases.claim(work.session, row.id, _make_lease(work, body))
    if claimed is None:
        raise NotClaimableError(explain_refusal(row))
    return await _describe_claim(work, claimed)


def explain_refusal(row: ExecutionRow) -> str:
    """Why an execution can't be claimed, and what to do."""
    if row.executor != "external":
        return "Claude runs this execution; only external executions can be claimed."
    if row.cancel_requested_at is not None:
        return "The cancellation of this execution was requested."
    if row.status == ExecutionStatus.RUNNING:
        until = f"{row.lease_expires_at:%F %T} UTC" if row.lease_expires_at else "its end"
        return f"{row.claimed_by} has this execution until {until}; claim another one."
    if row.status == ExecutionStatus.BLOCKED:
        return f"This execution is blocked ({row.status_reason}); claim it when it is pending."
    if row.status == ExecutionStatus.PENDING:
        return "This execution is paused; resume it first."
    return f"This execution is already {row.status}."


async def _describe_claim(work: UnitOfWork, stored: StoredWork) -> Claim:
    token: UUID = stored.columns["lease_token"]
    return Claim(stored, token, await describe_work(work.session, stored))


async def send_heartbeat(work: UnitOfWork, execution_id: UUID, body: HeartbeatBody) -> Heartbeat:
    """Extend a lease, and return whether the work was cancelled.

    Raises:
        LeaseLostError: the lease has ended, and the work returned to the queue.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    if row.lease_token != body.lease_token:
        raise make_lease_error(row)
    has_ended = ExecutionStatus(row.status).is_terminal
    if has_ended or row.cancel_requested_at is not None:
        return Heartbeat(row, None, must_stop=True)
    expires_at = await leases.renew(
        work.session, row.id, body.lease_token, seconds=body.lease_seconds
    )
    if expires_at is None:
        raise make_lease_error(row)
    return Heartbeat(row, expires_at, must_stop=False)


async def release(work: UnitOfWork, execution_id: UUID, body: ReleaseBody) -> ExecutionRow:
    """Return the work of a worker to the queue.

    Raises:
        LeaseLostError: the lease has ended.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    if not await leases.is_held(work.session, row.id, body.lease_token):
        raise make_lease_error(row)
    before = {"claimed_by": row.claimed_by}
    await leases.put_back(work.session, row, "released", message=body.reason)
    await work.record_audit(
        "execution.release",
        ("execution", row.id),
        before=before,
        after={"status": row.status},
        owner_id=row.user_id,
    )
    return row


def make_lease_error(row: ExecutionRow) -> LeaseLostError:
    """The refusal of a request with a lease that has ended."""
    if row.cancel_requested_at is not None:
        return LeaseLostError("The execution was cancelled. Stop the work.")
    now = f"the execution is {row.status}"
    if ExecutionStatus(row.status).is_terminal:
        return LeaseLostError(f"This lease has ended: {now}. Stop the work.")
    if row.status == ExecutionStatus.RUNNING and row.claimed_by is not None:
        now += f", claimed by {row.claimed_by}"
    return LeaseLostError(f"This lease has ended: {now}. Stop the work, and claim it again.")


async def require_agent(session: AsyncSession, caller: Caller, slug: str) -> Agent:
    """Return the agent of the caller.

    Raises:
        NotFoundError: there is no such agent.
    """
    agent = await agents.find(session, caller.user_id, slug)
    if agent is None:
        raise NotFoundError(f"Agent {slug!r:.120} does not exist; look in the list of agents.")
    return agent


async def list_pending(
    session: AsyncSession, caller: Caller, slug: str, window: Window
) -> Page[ExecutionRow]:
    """The caller's pending executions of an agent, newest first."""
    await require_agent(session, caller, slug)
    pending = ExecutionFilter(statuses=(ExecutionStatus.PENDING,), agent_id=slug)
    return await queries.page(session, caller.user_id, pending, window)
