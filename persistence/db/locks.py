"""The order in which rows are locked, and the locks for changes of several executions.

1. Sessions, by id. A transaction that starts, ends or reopens an execution in a session locks the
   session. So whether a session is busy can be read without locking an execution.
2. Executions, the older ones first (by id, which has the time of creation): a parent before its
   subtasks, prerequisites before the executions that wait for them.
3. The user, for quotas.
4. What belongs to a locked execution: its requests, calls, tool calls and signals.
5. The budgets of a tree, the outermost first (`persistence/ledger/budgets.py`).

A transaction locks several rows of a kind in one statement, before its first write. All these locks
allow other rows to refer to the locked one (`FOR NO KEY UPDATE`), so inserts do not wait. If a
transaction finds that it needs a lock that is earlier in the order, it is retried as a whole.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.db import sql

_SQL = sql.load("db/locks.sql", terminal=sql.quote(TERMINAL))

_LOCK = text(
    f"{_SQL['lock_affected'].text} SELECT id FROM locked_sessions"  # noqa: S608 - our own names
    " WHERE (SELECT count(*) FROM locked_executions) > 0"
)


async def lock_for_end(
    session: AsyncSession, execution_id: UUID, status: ExecutionStatus
) -> Collection[UUID]:
    """Lock what the end of an execution changes; returns the sessions that are locked now."""
    return frozenset(await session.scalars(_LOCK, _end_parameters(execution_id, status)))


async def lock_for_cancel(session: AsyncSession, execution_id: UUID) -> None:
    """Lock an execution that may end although its session is not locked, and all that ends too."""
    parameters = _end_parameters(execution_id, ExecutionStatus.CANCELLED)
    await session.execute(_LOCK, {**parameters, "is_end": False})


def _end_parameters(execution_id: UUID, status: ExecutionStatus) -> Mapping[str, object]:
    """The parameters of `_LOCK` for this end of an execution."""
    return {
        "execution_id": execution_id,
        "ends_dependents": status is not ExecutionStatus.COMPLETED,
        "is_end": True,
    }


async def lock_session_of(session: AsyncSession, execution_id: UUID) -> None:
    """Lock the session of an execution that may be locked next, if it has one."""
    await session.execute(_SQL["lock_session_of"], {"execution_id": execution_id})
