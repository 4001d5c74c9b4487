"""Garbage collection never deletes what is referenced, while processes write and collect."""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from domain.errors import BlobMissingError
from domain.files.blobs import BlobStore
from domain.ids import new_id
from persistence.blobs import registry
from persistence.blobs.directory import DirectoryBlobs
from persistence.db.database import Database
from persistence.identity import users
from persistence.tables.sessions import ArtifactRow
from services.blobs import Blobs
from services.stored_files import GarbageCollector

UNUSED_FOR = timedelta(seconds=0.6)
CONTENTS = [f"content {number}".encode() for number in range(30)]


class SlowStore(DirectoryBlobs):
    """A directory that takes a random time for each request, as object storage does."""

    async def put(self, file: Path, sha256: str) -> None:
        await pause()
        await super().put(file, sha256)
        await pause()

    async def delete(self, sha256: str) -> None:
        await pause()
        await super().delete(sha256)
        await pause()


async def pause() -> None:
    await asyncio.sleep(random.random() * 0.01)  # noqa: S311 - any time will do


class Writers:
    """Store some contents again and again, refer to them, and give them up."""

    def __init__(self, database: Database, store: BlobStore, user_id: UUID) -> None:
        self.database = database
        self.blobs = Blobs(database, store)
        self.user_id = user_id
        self.done: Counter[str] = Counter()

    async def store_one(self) -> None:
        began = time.monotonic()
        content = random.choice(CONTENTS)  # noqa: S311
        is_new = await self.blobs.size(hashlib.sha256(content).hexdigest()) is None
        stored = await self.blobs.add(content)
        await pause()
        if time.monotonic() - began > UNUSED_FOR.total_seconds() / 2:
            self.done["too late"] += 1  # a day in reality
            return
        try:
            async with self.database.transaction() as session:
                await registry.hold(session, [stored.sha256])
                session.add(self._artifact(stored.sha256, stored.size_bytes))
        except BlobMissingError:
            self.done["missing"] += 1
            return
        self.done["stored again" if is_new else "referenced"] += 1

    async def give_one_up(self) -> None:
        content = random.choice(CONTENTS)  # noqa: S311
        sha256 = hashlib.sha256(content).hexdigest()
        async with self.database.transaction() as session:
            await session.execute(delete(ArtifactRow).where(ArtifactRow.sha256 == sha256))

    async def check(self) -> None:
        """Every file is there, with its content, while a reference to it is held."""
        async with self.database.transaction() as session:
            held = select(ArtifactRow.sha256).with_for_update()
            for sha256 in set(await session.scalars(held)):
                content = await self.blobs.read_bytes(sha256)
                assert hashlib.sha256(content).hexdigest() == sha256

    def _artifact(self, sha256: str, size_bytes: int) -> ArtifactRow:
        return ArtifactRow(
            user_id=self.user_id,
            kind="artifact",
            name="a",
            media_type="text/plain",
            size_bytes=size_bytes,
            sha256=sha256,
        )


@pytest.fixture
async def writers(database_url: str, tmp_path: Path) -> Writers:
    database = Database.connect(database_url)
    async with database.transaction() as session:
        user = await users.find_or_create(session, f"user-{new_id()}", "user")
    return Writers(database, SlowStore(tmp_path), user.id)


@pytest.mark.parametrize("wanted", [8, pytest.param(60, marks=pytest.mark.long)])
async def test_what_is_referenced_is_never_deleted(writers: Writers, wanted: int) -> None:
    async def repeat(*steps: Callable[[], Awaitable[None]]) -> None:
        while any(
            writers.done[what] < wanted for what in ("deleted", "stored again", "referenced")
        ):
            await random.choice(steps)()  # noqa: S311

    collectors = [
        GarbageCollector(writers.database, writers.blobs.store, unused_for=UNUSED_FOR)
        for _ in range(2)
    ]

    async def collect(collector: GarbageCollector) -> None:
        writers.done["deleted"] += await collector.sweep()
        await pause()

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(repeat(writers.store_one, writers.give_one_up))
        for collector in collectors:
            group.create_task(repeat(partial(collect, collector)))
        group.create_task(repeat(writers.check))
    await writers.check()
    await writers.database.close()
