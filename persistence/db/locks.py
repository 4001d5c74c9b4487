"""The one order in which rows are locked, and the locks of what moves several executions at once.

1. Sessions, by id. Whoever begins, ends or reopens an execution in one holds it: so nobody has to
   lock an execution to learn whether a session is busy.
2. Executions, the older ones first (by id, which tells when they were made): a parent before its
   subtasks, what is waited for before what waits.
3. The user, for whom quotas are counted.
4. What hangs on a locked execution: its requests, calls, tool calls, and what was said to it.

Whoever needs several rows of a kind takes them in one statement, before it writes the first. All
these locks let others' rows refer to the locked one (`FOR NO KEY UPDATE`): an insert that names a
session or an execution waits for nobody. A transaction that finds itself without a lock that it
needs by now begins again instead of taking it out of turn.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.states import ExecutionStatus

CONCERNED = text("""
WITH RECURSIVE concerned AS (
    SELECT id, session_id, true AS is_first,
        CAST(:falls AS boolean) OR cancel_requested_at IS NOT NULL AS falls
    FROM executions WHERE id = :execution_id
    UNION
    SELECT further.id, further.session_id, false, falls
    FROM concerned, LATERAL (
        SELECT id, session_id FROM executions
        WHERE parent_execution_id = concerned.id AND concerned.falls
        UNION ALL
        SELECT e.id, e.session_id
        FROM execution_prerequisites p JOIN executions e ON e.id = p.execution_id
        WHERE p.prerequisite_id = concerned.id
    ) AS further
    WHERE is_first OR falls
),
conversations AS (
    SELECT id FROM sessions
    WHERE CAST(:is_end AS boolean)
        AND id IN (SELECT session_id FROM concerned WHERE is_first OR NOT falls)
    ORDER BY id FOR NO KEY UPDATE
),
next AS (
    SELECT id FROM executions
    WHERE CAST(:is_end AS boolean)
        AND session_id = (SELECT session_id FROM concerned WHERE is_first)
        AND status = 'blocked' AND status_reason = 'session_busy'
    ORDER BY id LIMIT 1
),
held AS (
    SELECT id FROM executions
    WHERE (SELECT count(*) FROM conversations) >= 0
        AND id IN (SELECT id FROM concerned UNION ALL SELECT id FROM next)
        AND (id = :execution_id OR status NOT IN ('completed', 'failed', 'cancelled'))
    ORDER BY id FOR NO KEY UPDATE
)
SELECT ARRAY(SELECT id FROM conversations) AS sessions, (SELECT count(*) FROM held) AS held
""")
"""Locks an execution and those that its end moves: the sessions first, then the executions.

Where it falls, as all but a completed one do: everything below it, what waits for it or for one of
those, and so on. Where it is completed: what waits for it, with the sessions in which that queues.
An end frees its own session for the next that waits there.
"""


async def lock_for_end(
    session: AsyncSession, execution_id: UUID, status: ExecutionStatus
) -> Collection[UUID]:
    """Lock what the end of an execution changes; returns the sessions that are locked now."""
    falls = status is not ExecutionStatus.COMPLETED
    parameters = {"execution_id": execution_id, "falls": falls, "is_end": True}
    return frozenset((await session.execute(CONCERNED, parameters)).one().sessions)


async def lock_for_cancel(session: AsyncSession, execution_id: UUID) -> None:
    """Lock an execution that may end although its session is not locked, and all that ends too."""
    parameters = {"execution_id": execution_id, "falls": True, "is_end": False}
    await session.execute(CONCERNED, parameters)


SESSION_OF = text("""
SELECT s.id FROM executions e JOIN sessions s ON s.id = e.session_id
WHERE e.id = :execution_id FOR NO KEY UPDATE OF s
""")


async def lock_session_of(session: AsyncSession, execution_id: UUID) -> None:
    """Lock the session of an execution that may be locked next, if it has one."""
    await session.execute(SESSION_OF, {"execution_id": execution_id})
