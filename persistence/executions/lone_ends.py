"""Completes executions on which nothing else depends, in one statement without a transaction.

The statement begins with the locks of `perdure_lock_lone_end`, a function in the database. Its own
snapshot is older than these locks, but the function sees what was committed before it has them. So
it refuses whenever something is there that the end would have to change, or that it must wait for.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from domain.executions.states import ExecutionStatus
from persistence.db.raw_connection import RawConnection
from persistence.executions.columns import select_columns, select_readers
from persistence.executions.fencing import RunIdentity
from persistence.executions.leases import AUDIT_REPORT, HELD, STORE_REPORT, Report
from persistence.executions.lifecycle import Ended, end_parameters, load_statements, make_ended
from persistence.ledger.audit import Actor


def _make_locked_source(condition: str) -> str:
    """One execution, locked, as it is then; none if it may not be completed alone."""
    return f"""executions e CROSS JOIN (VALUES (CAST(NULL AS text))) AS given (error_message)
    WHERE e.id = :execution_id AND cancel_requested_at IS NULL
        AND CASE WHEN {condition} THEN perdure_lock_lone_end(e.id) END
    FOR NO KEY UPDATE OF e"""


_COMPLETE = load_statements(given=_make_locked_source("true"))["end"]

_REPORT = load_statements(
    given=_make_locked_source(f"user_id = :owner_id AND {HELD}"),
    shown=f"{select_columns('ended')}, {select_readers('ended')}",
    reported=f"{STORE_REPORT},",
    audit=f"{AUDIT_REPORT} FROM ended UNION ALL",
)["end"]


async def complete(on: RawConnection, execution_id: UUID, run: RunIdentity) -> Ended | None:
    """Complete an execution for a workflow run; None if nothing is written."""
    written = await on.run(_COMPLETE, _make_parameters(execution_id, run))
    return None if written is None else make_ended(written)


async def complete_with_report(
    on: RawConnection,
    execution_id: UUID,
    token: UUID,
    report: Report,
    *,
    actor: Actor,
    owner_id: UUID,
) -> Mapping[str, Any] | None:
    """Store the report of a worker with this lease as `leases.store_report`, and complete its work.

    Returns the columns of the execution, as `cached_reads.CachedReads.execution` with hidden ones.
    None: nothing is written, also if the execution is not the owner's.
    """
    parameters = _make_parameters(execution_id)
    owned = {**parameters, **report.parameters(token, actor), "owner_id": owner_id}
    written = await on.run(_REPORT, owned)
    return None if written is None else vars(written)


def _make_parameters(execution_id: UUID, run: RunIdentity | None = None) -> dict[str, object]:
    status = ExecutionStatus.COMPLETED
    return {**end_parameters({execution_id: None}, status, run=run), "execution_id": execution_id}
