"""Fills a database with a million executions of one year and their related rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from persistence.db.database import sqlalchemy_url

BUSY_SHARE = 8
"""Executions of the first user, of ten."""

STATEMENTS = (Path(__file__).parent / "many.sql").read_text("utf-8").split("\n;\n")

INDEXES = text("""
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename = ANY(:filled)
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
""")
FILLED = [
    "executions",
    "execution_tags",
    "sessions",
    "plans",
    "plan_steps",
    "reports",
    "input_requests",
    "audit_log",
]


async def fill(session: AsyncSession, count: int) -> None:
    """Insert `count` executions without running triggers. The caller updates the statistics."""
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in STATEMENTS:
        given = {"count": count} if ":count" in statement else {}
        await session.execute(text(statement), given)


@asynccontextmanager
async def without_indexes(session: AsyncSession) -> AsyncIterator[None]:
    """Drop the indexes while the block fills tables: that takes a fraction of the time."""
    indexes = (await session.execute(INDEXES, {"filled": FILLED})).all()
    for index in indexes:
        await session.execute(text(f'DROP INDEX "{index.indexname}"'))
    yield
    await session.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
    for index in indexes:
        await session.execute(text(index.indexdef.replace(":", "\\:")))


async def fill_at(database_url: str, count: int) -> None:
    """Fill the database at this URL and update its statistics."""
    engine = create_async_engine(sqlalchemy_url(database_url))
    async with AsyncSession(engine) as session, session.begin(), without_indexes(session):
        await fill(session, count)
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE"))
    await engine.dispose()
