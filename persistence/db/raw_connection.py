"""Statements through the driver: each is a transaction of its own.

A statement costs about 0.5 ms of Python through a SQLAlchemy session and 0.1 ms through asyncpg
(measured 2026-11-21). An execution has some fifteen statements, so this limits how many executions
one worker can run. The statements are SQLAlchemy `text` with named parameters.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy import Select, TextClause, TextualSelect, make_url
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.ext.asyncio import AsyncSession

CONNECT_SECONDS = 5.0
"""A healthy server connects faster; a step without a connection is retried (chosen)."""

STATEMENT_SECONDS = 30.0
"""A step must not wait for an unreachable Postgres until its activity times out: its heartbeat
continues meanwhile. The longest statements take a second or two (chosen)."""

DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]
"""Writes the types of Postgres as the driver expects them."""

Statement = TextClause | TextualSelect | Select[Any]
"""SQL with named parameters. The second kind names the types of columns, which a session needs; the
third is built from tables."""


class RawConnection:
    """A pool of the driver's own connections, opened at first use."""

    def __init__(self, database_url: str, *, size: int) -> None:
        """`size` is the maximum number of concurrent statements."""
        self._database_url = database_url
        self._size = size
        self._opening = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.close()

    async def run(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> SimpleNamespace | None:
        """The statement's row by column names, or None if it returned none."""
        sql, names = _compile(statement)
        pool = self._pool or await self._open()
        row = await pool.fetchrow(sql, *(parameters[name] for name in names))
        return None if row is None else SimpleNamespace(**row)

    async def rows(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[SimpleNamespace]:
        """All rows of the statement by column names."""
        sql, names = _compile(statement)
        pool = self._pool or await self._open()
        found = await pool.fetch(sql, *(parameters[name] for name in names))
        return [SimpleNamespace(**row) for row in found]

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await open_pool(
                    self._database_url, size=self._size, statement_seconds=STATEMENT_SECONDS
                )
            return self._pool


Connected = AsyncSession | RawConnection
"""Where a statement runs that services use both ways."""


async def fetch_rows(
    on: Connected, statement: Statement, parameters: Mapping[str, Any]
) -> Sequence[Any]:
    """Run a statement in a session or through the driver; its rows by column names."""
    if isinstance(on, AsyncSession):
        return (await on.execute(statement, dict(parameters))).all()
    return await on.rows(statement, parameters)


async def open_pool(
    database_url: str,
    *,
    size: int,
    statement_seconds: float,
    server_settings: Mapping[str, str] | None = None,
) -> asyncpg.Pool:
    """A pool of the driver's own connections; the first statement opens the first one."""
    url = make_url(database_url).set(drivername="postgresql")
    return await asyncpg.create_pool(
        url.render_as_string(hide_password=False),
        min_size=0,
        max_size=size,
        timeout=CONNECT_SECONDS,
        command_timeout=statement_seconds,
        server_settings=dict(server_settings or {}),
        init=_read_json,
        reset=_skip_reset,
    )


@cache
def _compile(statement: Statement) -> tuple[str, tuple[str, ...]]:
    """The statement with the driver's placeholders, and its parameters in order."""
    compiled = statement.compile(dialect=DIALECT)
    return compiled.string, tuple(compiled.positiontup or ())


async def _read_json(connection: asyncpg.Connection) -> None:
    """Read JSON columns as values; JSON parameters are passed as text."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=str, decoder=json.loads)


async def _skip_reset(_: asyncpg.Connection) -> None:
    """A statement changes no state; asyncpg's own reset would be a second round trip."""
