"""What a process that serves knows of the schema, beside what alembic knows."""

from alembic.script import ScriptDirectory
from sqlalchemy import text

from persistence.db.database import Database
from persistence.db.migrate import _config
from persistence.db.revision import NEWEST, current_revision


def test_the_newest_revision_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == NEWEST


async def test_a_database_has_a_revision_once_it_was_migrated(database: Database) -> None:
    assert await current_revision(database.engine) == NEWEST
    async with database.transaction() as session:
        await session.execute(text("DROP TABLE alembic_version"))
    assert await current_revision(database.engine) is None
