"""The reads that clients repeat most, straight through the driver.

One row by its key costs 0.13 ms of CPU here and 0.6 ms through a SQLAlchemy session (measured
2026-11-21, 50 columns): enough to decide how many polling clients one gateway serves. Executions
that are asked for while others are being read are read together, next: the more clients poll, the
less of a round trip each of them costs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from domain.states import TERMINAL, ExecutionStatus
from persistence.db.raw_connection import open_pool
from persistence.tables.executions import ExecutionRow

CONNECTIONS = 4
"""A statement holds one for half a millisecond, so these serve thousands a second (chosen)."""

READ_SECONDS = 5.0
"""For one statement by keys: a Postgres that takes longer is as good as away (chosen)."""

PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}
"""Reads by keys have one plan. Postgres would make it anew each time, since it expects more keys of
a list it does not see: of 0.27 ms for a read that were 0.17 (measured 2026-11-26)."""

_UNSEEN = {"definition", "notification_config", "prefix_sha256", "run_epochs"}
"""What no client sees of an execution, and what costs to decode."""

_COLUMNS = ", ".join(
    f'e."{column.name}"' for column in ExecutionRow.__table__.columns if column.name not in _UNSEEN
)
_EXECUTIONS = f"""
SELECT {_COLUMNS}, (
    SELECT CASE WHEN t.is_public THEN e.user_id ELSE t.user_id END
    FROM tasks t WHERE t.id = e.task_id AND t.deleted_at IS NULL
) AS task_reader, (
    SELECT s.deleted_at IS NOT NULL FROM sessions s WHERE s.id = e.session_id
) AS session_is_deleted
FROM executions e WHERE e.id = ANY($1)
"""  # noqa: S608 - our own columns
"""With what decides which links can be followed, each looked up by its key: as joins, or asked with
EXISTS, these would read whole tables."""

_SETTLED = "SELECT id FROM executions WHERE id = ANY($1) AND status = ANY($2)"

SETTLED = (*TERMINAL, ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.PAUSED)
"""States that end a client's wait: nothing happens any more, or nothing without a person."""


Wanted = dict[UUID, list[asyncio.Future[Mapping[str, Any] | None]]]
"""Executions, and who waits for each."""


class CachedReads:
    """A small pool of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """Takes the pool over; `close` closes it."""
        self._pool = pool
        self._wanted: Wanted = {}
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, database_url: str) -> Self:
        """A pool without a connection yet: the first read makes the first one."""
        pool = await open_pool(
            database_url,
            size=CONNECTIONS,
            statement_seconds=READ_SECONDS,
            server_settings=PLANNED_ONCE,
        )
        return cls(pool)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def execution(self, execution_id: UUID) -> Mapping[str, Any] | None:
        """The columns of an execution that clients see, read after this was asked.

        With two more: `task_reader`, the user who can read its task if any user can, and
        `session_is_deleted`.
        """
        found = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(execution_id, []).append(found)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_wanted())
        columns: Mapping[str, Any] | None = await found
        return columns

    async def _read_wanted(self) -> None:
        """Read what is wanted until nothing is; what is asked meanwhile is of the next round."""
        while self._wanted:
            try:
                async with self._pool.acquire() as connection:
                    while self._wanted and not connection.is_closed():
                        await self._read_round(connection)
            except Exception as error:  # noqa: BLE001 - told to all who wait for a connection
                wanted, self._wanted = self._wanted, {}
                _fail(wanted, error)

    async def _read_round(self, connection: PoolConnectionProxy) -> None:
        wanted, self._wanted = self._wanted, {}
        try:
            rows = await connection.fetch(_EXECUTIONS, list(wanted))
        except Exception as error:  # noqa: BLE001 - told to all who asked
            _fail(wanted, error)
            return
        by_id = {row["id"]: dict(row) for row in rows}
        for execution_id, waiting in wanted.items():
            columns = by_id.get(execution_id)
            for found in waiting:
                if not found.done():
                    found.set_result(columns)

    async def settled(self, execution_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Those of the executions that nobody need wait for any longer."""
        rows = await self._pool.fetch(_SETTLED, execution_ids, SETTLED)
        return [row["id"] for row in rows]


def _fail(wanted: Wanted, error: Exception) -> None:
    """Tell those who wait; who went away is told nothing."""
    for waiting in wanted.values():
        for found in waiting:
            if not found.done():
                found.set_exception(error)
