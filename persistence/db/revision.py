"""Which schema this code needs, and which one a database has: what a process that serves asks.

Without alembic, which loads 7 MB and is for `persistence.db.migrate`.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

NEWEST = "0009"
"""The last migration of `migrations/versions`; a test compares it with alembic's head."""


async def current_revision(engine: AsyncEngine) -> str | None:
    """The database's revision, or None before the first migration."""
    async with engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return None
        revision: str | None = await connection.scalar(
            text("SELECT version_num FROM alembic_version")
        )
        return revision
