"""Bringing a database to the newest schema."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from persistence.db.database import sqlalchemy_url
from persistence.db.revision import current_revision

# Any two processes that migrate the same database take turns on this number (chosen).
ADVISORY_LOCK = 0x70657264757265


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("persistence.db") / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(database_url: str) -> str | None:
    """Upgrade to the newest revision and return it; safe to call from many processes at once."""
    engine = create_async_engine(sqlalchemy_url(database_url))
    try:
        async with engine.connect() as guard:
            await guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
            async with engine.connect() as connection:
                await connection.run_sync(lambda c: command.upgrade(_config(c), "head"))
            # The lock goes with the guard's connection.
        return await current_revision(engine)
    finally:
        await engine.dispose()
