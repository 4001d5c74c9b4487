"""Connections and transactions: one request or one step is one transaction, committed here."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from persistence.db.raw_connection import CONNECT_SECONDS, STATEMENT_SECONDS, RawConnection

DRIVER = "postgresql+asyncpg"

POOL_SECONDS = 30.0
"""The pool is shared by all executions of a worker; a step that can't get a connection for this
long fails its attempt, which is retried (chosen)."""


_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Made once: `json.dumps` makes one for each call with separators."""


def to_json(value: Any) -> str:
    """JSON text that Postgres can always store: ASCII, so NUL and lone surrogates stay escapes."""
    return _ENCODER.encode(value)


def sqlalchemy_url(database_url: str) -> URL:
    """The SQLAlchemy address of `postgresql://user:password@host:port/name`."""
    return make_url(database_url).set(drivername=DRIVER)


class Database:
    """One process's connections to Postgres."""

    def __init__(self, engine: AsyncEngine, raw: RawConnection) -> None:
        """`close` closes both."""
        self.engine = engine
        self.raw = raw
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
        self._readers = async_sessionmaker(
            engine.execution_options(isolation_level="AUTOCOMMIT"), autoflush=False
        )

    @classmethod
    def connect(
        cls, database_url: str, *, pool_size: int = 10, pool_seconds: float = POOL_SECONDS
    ) -> Self:
        """Create without connecting: the first statement opens the first connection.

        `pool_seconds` is how long a statement waits for a free connection.
        """
        return cls(
            create_async_engine(
                sqlalchemy_url(database_url),
                pool_size=pool_size,
                max_overflow=0,
                json_serializer=to_json,
                # Errors are logged; parameters are prompts, messages and secrets.
                hide_parameters=True,
                pool_timeout=pool_seconds,
                connect_args={"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS},
            ),
            RawConnection(database_url, size=pool_size),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.raw.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def transaction(self, *, keep: bool = True) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Without `keep` it is always rolled back: a dry run. The first statement begins it, so a
        block without one costs almost nothing.
        """
        session = self._sessions()
        was_used = True
        try:
            yield session
            was_used = session.in_transaction()
            if was_used:
                await (session.commit() if keep else session.rollback())
        finally:
            if was_used:
                await asyncio.shield(session.close())  # as the session's own context manager

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """For reads: each statement is one round trip, without BEGIN and COMMIT."""
        async with self._readers() as session:
            yield session
