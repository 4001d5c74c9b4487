"""The reads that clients repeat most, through the driver.

One row by its key costs 0.13 ms of CPU here and 0.6 ms through a SQLAlchemy session (measured
2026-11-21, 50 columns), which limits how many polling clients one gateway serves. Executions that
are requested during a read are read together in the next one: the more clients poll, the less each
request costs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.db.raw_connection import open_pool
from persistence.executions.columns import select_columns, select_readers

CONNECTIONS = 4
"""A statement takes half a millisecond, so these serve thousands of reads a second (chosen)."""

READ_SECONDS = 5.0
"""For one statement by keys: a slower Postgres counts as unavailable (chosen)."""

PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}
"""Reads by keys have one plan. Otherwise Postgres makes a plan for each read, because it expects
more keys in a list that it does not know: 0.17 of 0.27 ms (measured 2026-11-26)."""

_HIDDEN = {
    *("definition", "notification_config", "prefix_sha256", "run_epochs", "watched_until"),
    *("lease_token", "lease_seconds"),
}
"""Columns that no client sees; most of them are expensive to decode."""

_EXECUTIONS = f"""
SELECT {select_columns("e", without=_HIDDEN)}, {select_readers("e")}
FROM executions e WHERE e.id = ANY($1)
"""  # noqa: S608 - our own names

_SETTLED = "SELECT id FROM executions WHERE id = ANY($1) AND status = ANY($2)"

SETTLED = (*TERMINAL, ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.PAUSED)
"""States that end a client's wait: the execution has ended, or needs a person to continue."""


Requested = dict[UUID, list[asyncio.Future[Mapping[str, Any] | None]]]
"""Requested executions, with the futures that wait for each."""


class CachedReads:
    """A small pool of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """`close` closes the pool."""
        self._pool = pool
        self._requested: Requested = {}
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, database_url: str) -> Self:
        """Create a pool without connecting: the first read opens the first connection."""
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
        """The columns of an execution that clients see, read after this call.

        With two more: `task_reader`, a user who can read its task, if there is one, and
        `session_is_deleted`.
        """
        found = asyncio.get_running_loop().create_future()
        self._requested.setdefault(execution_id, []).append(found)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_requested())
        columns: Mapping[str, Any] | None = await found
        return columns

    async def _read_requested(self) -> None:
        """Read until nothing is requested; requests that come meanwhile are in the next round."""
        while self._requested:
            try:
                async with self._pool.acquire() as connection:
                    while self._requested and not connection.is_closed():
                        await self._read_round(connection)
            except Exception as error:  # noqa: BLE001 - raised for every waiting request
                requested, self._requested = self._requested, {}
                _fail(requested, error)

    async def _read_round(self, connection: PoolConnectionProxy) -> None:
        requested, self._requested = self._requested, {}
        try:
            rows = await connection.fetch(_EXECUTIONS, list(requested))
        except Exception as error:  # noqa: BLE001 - as above
            _fail(requested, error)
            return
        by_id = {row["id"]: dict(row) for row in rows}
        for execution_id, waiting in requested.items():
            columns = by_id.get(execution_id)
            for found in waiting:
                if not found.done():
                    found.set_result(columns)

    async def list_settled(self, execution_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Those of the executions that are settled: their clients need not wait any longer."""
        rows = await self._pool.fetch(_SETTLED, execution_ids, SETTLED)
        return [row["id"] for row in rows]


def _fail(requested: Requested, error: Exception) -> None:
    """Raise the error for every waiting request that was not cancelled."""
    for waiting in requested.values():
        for found in waiting:
            if not found.done():
                found.set_exception(error)
