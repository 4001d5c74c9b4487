"""The schema: the revision of a database, and migrating it to the newest one."""

from importlib.resources import files
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from persistence.db.database import sqlalchemy_url
from persistence.db.outages import is_outage

if TYPE_CHECKING:
    from alembic.config import Config

log = structlog.get_logger(__name__)

NEWEST = "20261129_inbox_views"
"""The last migration in `migrations/versions`; a test compares it with alembic's head."""

PRE_RELEASE = frozenset(f"{number:04}" for number in range(1, 10))
"""Revisions of databases that were created before the first release."""

# Processes that migrate the same database wait for each other at this number (chosen).
ADVISORY_LOCK = 0x70657264757265


class PreReleaseDatabaseError(Exception):
    """The database was created by a pre-release version, which can't be migrated."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "This database was created by a pre-release version of Perdure and can't be migrated. "
            "Create a new database: with PERDURE_DATABASE_URL, name an empty one; with `perdure "
            "up`, set PERDURE_HOME to a new directory."
        )


class DatabaseUnavailableError(Exception):
    """The database does not answer, or refuses the user, the password or the name."""

    def __init__(self, cause: Exception) -> None:
        """Name the cause, and what to check."""
        super().__init__(
            f"The database can't be used ({str(cause) or type(cause).__name__}). Check that it is "
            "running, and correct PERDURE_DATABASE_URL."
        )


_REFUSED = ("28", "3D")
"""SQLSTATE classes of a wrong user or password, and of a database that does not exist."""


async def find_revision(engine: AsyncEngine) -> str | None:
    """The database's revision, or None before the first migration.

    Raises:
        PreReleaseDatabaseError: a pre-release version created the database.
    """
    async with engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return None
        revision: str | None = await connection.scalar(
            text("SELECT version_num FROM alembic_version")
        )
    if revision in PRE_RELEASE:
        raise PreReleaseDatabaseError
    return revision


async def require_database(engine: AsyncEngine) -> None:
    """Check the database when a process starts that can't run without it.

    Raises:
        DatabaseUnavailableError: it can't be used.
        PreReleaseDatabaseError: a pre-release version created the database.
    """
    try:
        await find_revision(engine)
    except Exception as error:
        cause = getattr(error, "orig", error)
        state = str(getattr(cause, "sqlstate", None) or "")
        if not is_outage(error) and not state.startswith(_REFUSED):
            raise
        raise DatabaseUnavailableError(cause) from error


async def refuse_pre_release_database(engine: AsyncEngine) -> None:
    """Check the database when a process starts that can wait for it; if it is down, log that.

    Raises:
        DatabaseUnavailableError: it refuses the user, the password or the name.
        PreReleaseDatabaseError: a pre-release version created the database.
    """
    try:
        await require_database(engine)
    except DatabaseUnavailableError as error:
        if error.__cause__ is None or not is_outage(error.__cause__):
            raise
        log.warning("database.unavailable", error=str(error))


async def migrate(database_url: str) -> str | None:
    """Upgrade to the newest revision and return it; many processes may do so at once.

    Raises:
        DatabaseUnavailableError: it can't be used.
        PreReleaseDatabaseError: a pre-release version created the database.
    """
    engine = create_async_engine(sqlalchemy_url(database_url))
    try:
        await require_database(engine)
        async with engine.connect() as guard:
            await guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
            await find_revision(engine)
            async with engine.connect() as connection:
                await connection.run_sync(_upgrade)
            # The lock is released with the guard's connection.
        return await find_revision(engine)
    finally:
        await engine.dispose()


def config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration. Its 7 MB are imported only to migrate."""
    from alembic.config import Config  # noqa: PLC0415

    found = Config()
    found.set_main_option("script_location", str(files("persistence.db") / "migrations"))
    found.attributes["connection"] = connection
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - as above

    command.upgrade(config(connection), "head")
