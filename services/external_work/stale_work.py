"""Finds planned work that no one continues, returns it to the queue, and cancels it in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from domain.executions.states import ExecutionStatus
from persistence.executions import leases, planned_work, queries
from persistence.tables.executions import ExecutionRow
from services.executions import control
from services.executions.inputs import CancelBody
from services.field_types import Body
from services.unit_of_work import UnitOfWork

LONGEST_HOURS = 24 * 365

MOST_AT_ONCE = 100
"""Executions of one call, the oldest ones (chosen: takes a second)."""

StaleAction = Literal["none", "return_to_queue", "cancel"]
Hours = Annotated[float, Field(gt=0, le=LONGEST_HOURS, allow_inf_nan=False)]


class CleanUpBody(Body):
    """After how many hours without an event or a heartbeat work is inactive, or abandoned.

    Inactive work that a worker has returns to the queue; abandoned work is cancelled. A dry run
    only lists both. The defaults are those of other orchestrators.
    """

    inactive_hours: Hours = 24
    abandoned_hours: Hours = 72
    dry_run: bool = True


@dataclass(frozen=True, slots=True)
class StaleWork:
    """Stale work, the time of its last event, and what a clean-up does with it."""

    row: ExecutionRow
    active_at: datetime
    action: StaleAction


async def clean_up(work: UnitOfWork, body: CleanUpBody) -> Sequence[StaleWork]:
    """Find stale work of the caller, and clean it up unless it is a dry run.

    Work that changes meanwhile is left alone.
    """
    now = datetime.now(UTC)
    inactive = now - timedelta(hours=min(body.inactive_hours, body.abandoned_hours))
    abandoned = now - timedelta(hours=body.abandoned_hours)
    found = [
        StaleWork(row, active_at, _choose(row, is_abandoned=active_at < abandoned))
        for row, active_at in await planned_work.list_stale(
            work.session, work.caller.user_id, before=inactive, limit=MOST_AT_ONCE
        )
    ]
    if not body.dry_run:
        for stale in found:
            await _apply(work, stale)
    return found


def _choose(row: ExecutionRow, *, is_abandoned: bool) -> StaleAction:
    if is_abandoned:
        return "cancel"
    return "return_to_queue" if row.status == ExecutionStatus.RUNNING else "none"


async def _apply(work: UnitOfWork, stale: StaleWork) -> None:
    row = stale.row
    if stale.action == "cancel":
        if not ExecutionStatus((await _read_again(work, row.id)).status).is_terminal:
            reason = f"abandoned: nothing happened since {stale.active_at:%F %T} UTC"
            await control.cancel(work, row.id, CancelBody(reason=reason))
    elif stale.action == "return_to_queue":
        await _return_to_queue(work, row.id, row.lease_token)


async def _return_to_queue(work: UnitOfWork, execution_id: UUID, token: UUID | None) -> None:
    row = await queries.lock_existing(work.session, execution_id)
    if row.status != ExecutionStatus.RUNNING or row.lease_token != token:
        return
    before = {"claimed_by": row.claimed_by}
    await leases.put_back(work.session, row, "stale")
    after = {"status": row.status, "reason": "stale"}
    await work.record_audit(
        "execution.release",
        ("execution", row.id),
        before=before,
        after=after,
        owner_id=row.user_id,
    )


async def _read_again(work: UnitOfWork, execution_id: UUID) -> ExecutionRow:
    """The row as it is now: an earlier cancel may have ended it."""
    row = await work.session.get_one(ExecutionRow, execution_id)
    await work.session.refresh(row)
    return row
