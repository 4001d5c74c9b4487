"""Whether Postgres can write: a full disk or a read-only server still answers reads."""

import asyncio
import time

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

REMEMBERED_SECONDS = 2.0
"""Health checks need no credentials, so they must not cause many writes (chosen)."""

_WRITE = (
    text("CREATE TEMPORARY TABLE perdure_write_check (content text) ON COMMIT DROP"),
    # Rows that fill about ten pages, so that the file has to grow.
    text("INSERT INTO perdure_write_check SELECT repeat('x', 700) FROM generate_series(1, 100)"),
)


class WriteCheck:
    """Writes to a temporary table, and remembers the result for a moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Uses a connection of `engine` for each check."""
        self._engine = engine
        self._checking = asyncio.Lock()
        self._checked_at = -REMEMBERED_SECONDS
        self._is_writable = False

    async def is_writable(self) -> bool:
        """Whether a write succeeded within the last `REMEMBERED_SECONDS`.

        Raises an error if the server cannot be reached.
        """
        async with self._checking:
            if time.monotonic() - self._checked_at >= REMEMBERED_SECONDS:
                self._is_writable = await self._write()
                self._checked_at = time.monotonic()
            return self._is_writable

    async def _write(self) -> bool:
        try:
            async with self._engine.begin() as connection:
                for statement in _WRITE:
                    await connection.execute(statement)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            return False
        return True
