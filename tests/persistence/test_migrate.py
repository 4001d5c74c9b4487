"""The revision of a database, and databases that can't be migrated."""

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import make_url, text

from persistence.db.database import Database
from persistence.db.migrate import (
    NEWEST,
    DatabaseUnavailableError,
    PreReleaseDatabaseError,
    config,
    find_revision,
    migrate,
    refuse_pre_release_database,
    require_database,
)


def test_the_newest_revision_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(config()).get_current_head() == NEWEST


async def test_a_migrated_database_has_a_revision(database: Database, database_url: str) -> None:
    assert await find_revision(database.engine) == NEWEST
    assert await migrate(database_url) == NEWEST
    async with database.transaction() as session:
        await session.execute(text("DROP TABLE alembic_version"))
    assert await find_revision(database.engine) is None


@pytest.mark.parametrize("revision", ["0001", "0009"])
async def test_a_pre_release_database_is_refused(
    database: Database, database_url: str, revision: str
) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    with pytest.raises(PreReleaseDatabaseError, match="Create a new database"):
        await migrate(database_url)
    with pytest.raises(PreReleaseDatabaseError, match="pre-release version"):
        await refuse_pre_release_database(database.engine)
    async with database.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": NEWEST})


async def test_a_database_that_is_not_available_is_not_refused() -> None:
    database = Database.connect("postgresql://perdure@127.0.0.1:1/none")
    await refuse_pre_release_database(database.engine)
    await database.close()


@pytest.mark.parametrize("change", [{"port": 1}, {"database": "no_such_database"}])
async def test_a_database_that_is_required_and_not_available_is_named(
    database_url: str, change: dict[str, object]
) -> None:
    url = make_url(database_url).set(**change)  # type: ignore[arg-type]
    database = Database.connect(url.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailableError, match="correct PERDURE_DATABASE_URL") as refusal:
        await require_database(database.engine)
    assert "\n" not in str(refusal.value)
    await database.close()
