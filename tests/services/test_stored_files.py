"""Stored files are deleted once nothing refers to them, and damaged ones are found."""

import asyncio
import errno
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, text

from domain.errors import BlobMissingError
from persistence.blobs import registry
from persistence.blobs.directory import LEFT_SECONDS, DirectoryBlobs
from persistence.db.database import Database
from persistence.tables import metadata
from persistence.tables.sessions import ArtifactRow
from services.blobs import Blobs
from services.stored_files import UNUSED_FOR, Damage, GarbageCollector, check_store
from tests.persistence.opened import open_execution


@pytest.fixture
def blobs(database: Database, tmp_path: Path) -> Blobs:
    return Blobs(database, DirectoryBlobs(tmp_path))


async def refer(blobs: Blobs, database: Database, content: bytes) -> ArtifactRow:
    """An artifact of a new execution with this content."""
    execution = await open_execution(database)
    stored = await blobs.add(content)
    async with database.transaction() as session:
        await registry.hold(session, [stored.sha256])
        user_id = await session.scalar(text("SELECT id FROM users"))
        row = ArtifactRow(
            user_id=user_id,
            execution_id=execution.id,
            kind="artifact",
            name="a",
            media_type="text/plain",
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
        )
        session.add(row)
    return row


async def let_time_pass(database: Database) -> None:
    """Let a day pass for the files that are stored now."""
    async with database.transaction() as session:
        statement = text("UPDATE blobs SET used_at = now() - CAST(:age AS interval)")
        await session.execute(statement, {"age": UNUSED_FOR + timedelta(seconds=1)})


async def collect(database: Database, blobs: Blobs) -> int:
    collector = GarbageCollector(database, blobs.store)
    return await collector.sweep() + await collector.sweep()  # it begins somewhere


async def test_a_file_is_deleted_a_day_after_it_was_last_needed(
    blobs: Blobs, database: Database
) -> None:
    row = await refer(blobs, database, b"needed")
    unneeded = await blobs.add(b"never needed")
    assert await collect(database, blobs) == 0
    await let_time_pass(database)
    await blobs.add(b"stored again")
    assert await collect(database, blobs) == 1
    assert await blobs.size(unneeded.sha256) is None
    assert await blobs.read_bytes(row.sha256) == b"needed"
    async with database.transaction() as session:
        with pytest.raises(BlobMissingError):
            await registry.hold(session, [unneeded.sha256])
        await session.execute(delete(ArtifactRow))
    assert await collect(database, blobs) == 1
    assert [blob.size_bytes async for blob in blobs.store.list()] == [len(b"stored again")]


async def test_a_writer_waits_for_a_deletion_and_stores_the_file_again(
    blobs: Blobs, database: Database
) -> None:
    stored = await blobs.add(b"x")
    await let_time_pass(database)
    async with database.transaction() as session:
        removed = await registry.remove_unreferenced(
            session, [stored.sha256], unused_for=UNUSED_FOR
        )
        assert removed == [stored.sha256]
        adding = asyncio.create_task(blobs.add(b"x"))
        done, _ = await asyncio.wait([adding], timeout=0.2)
        assert not done
        await blobs.store.delete(stored.sha256)
    assert await adding == stored
    assert await blobs.read_bytes(stored.sha256) == b"x"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_leftovers_of_killed_writers_are_deleted_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryBlobs(tmp_path / "artifacts")
    await store.clean()
    (store.incoming / "left").write_bytes(b"x")
    (store.incoming / "ab").mkdir()
    await store.clean()
    assert names(store.incoming) == ["ab", "left"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + LEFT_SECONDS + 60)
    await store.clean()
    assert names(store.incoming) == ["ab"]


async def test_a_check_names_what_damaged_files_affect(
    blobs: Blobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "a broken disk")

    rows = [await refer(blobs, database, content) for content in (b"one", b"two", b"three")]
    await blobs.add(b"not referenced")
    found = await check_store(database, blobs, "")
    assert (found.files, found.size_bytes, found.damaged) == (3, 11, [])
    missing, changed, cut = (blobs.store.path(row.sha256) for row in rows)  # type: ignore[attr-defined]
    missing.unlink()
    changed.write_bytes(b"tow")
    cut.write_bytes(b"thr")
    found = await check_store(database, blobs, "")
    damaged = {one.blob.sha256: one for one in found.damaged}
    damages = [Damage.MISSING, Damage.CHANGED, Damage.CHANGED]
    assert [damaged[row.sha256].damage for row in rows] == damages
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        found = await check_store(database, blobs, "")
    assert {one.damage for one in found.damaged} == {Damage.MISSING, Damage.CHANGED}
    for row in rows:
        assert [artifact.id for artifact in damaged[row.sha256].artifacts] == [row.id]
        assert damaged[row.sha256].execution_ids == [row.execution_id]


def test_the_columns_that_refer_to_files_have_an_index() -> None:
    assert ArtifactRow.__table__.c.sha256 in registry.referencing_columns()
    indexed = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for index in table.indexes
        for column in list(index.columns)[:1]
    }
    for column in registry.referencing_columns():
        assert (column.table.name, column.name) in indexed
