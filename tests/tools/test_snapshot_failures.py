"""Snapshots of changing, too large or damaged workspaces, and failures of the store."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BlobMissingError, BlobStoreUnavailableError, WorkspaceNotSavedError
from domain.workspaces.snapshots import SavedEntry, SnapshotUnreadableError, WorkspaceIndex
from tests.tools.saved_workspaces import Place, Stored, describe, place, write
from tools.snapshots import saving, scanning

__all__ = ["place"]

MIB = 1024 * 1024


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place.root / "log", "x" * 100)
    before = os.pread

    def grow(*arguments: Any) -> bytes:
        part = before(*arguments)
        with (place.root / "log").open("ab") as log:
            log.write(b"more")
        return part

    monkeypatch.setattr(os, "pread", grow)
    await place.save()
    monkeypatch.undo()
    assert (await place.restore() / "log").read_bytes().startswith(b"x" * 100)
    await place.check()


async def test_a_file_with_holes_that_becomes_shorter_while_it_is_read_can_be_restored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.root / "sparse"
    with path.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"x" * 8192)
    write(place.root / "z", "next in the pack")
    before = os.pread

    def shrink(*arguments: Any) -> bytes:
        if path.stat().st_size > MIB + 100:
            os.truncate(path, MIB + 100)
        return before(*arguments)

    monkeypatch.setattr(os, "pread", shrink)
    await place.save()
    monkeypatch.undo()
    restored = await place.restore()
    assert (restored / "sparse").read_bytes()[MIB : MIB + 100] == b"x" * 100
    assert (restored / "z").read_text() == "next in the pack"
    await place.check()


async def test_the_space_of_many_snapshots_is_limited(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_SETTLED_NS", -(10**12))
    chance = 0
    for number in range(150):
        chance = (chance * 31 + number * 17) % 60
        write(place.root / f"f{chance}", os.urandom(500))
        await place.save()
        assert place.saved is not None
        assert len(place.saved.blobs) <= 35
        stored = sum(blob.size_bytes for blob in place.saved.blobs[1:])
        assert stored <= 2 * place.saved.size_bytes
    await place.check()


async def test_too_many_files_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "MAX_ENTRIES", 3)
    for number in range(4):
        write(place.root / f"{number}", "x")
    with pytest.raises(WorkspaceNotSavedError, match="more than 3 files"):
        await place.save()


async def test_files_that_the_store_can_not_take_are_saved_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise BlobStoreUnavailableError("It is full.")

    write(place.root / "file", "x")
    await place.check()
    write(place.root / "file", "y")
    with monkeypatch.context() as patch:
        patch.setattr(place.store, "put_all", fail)
        with pytest.raises(WorkspaceNotSavedError, match="It is full"):
            await place.save()
    await place.check()


async def test_files_that_can_not_be_read_for_a_time_are_read_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "_DELAYS", (0, 0))
    write(place.root / "file", "x")
    await place.save()
    read, failures = place.store.read, [1, 2]

    def fail(sha256: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        if failures:
            failures.pop()
            raise OSError(errno.ESTALE, "away")
        return read(sha256, start, end)

    monkeypatch.setattr(place.store, "read", fail)
    await place.check()


async def test_damaged_snapshots_are_not_restored(place: Place) -> None:
    write(place.root / "file", "content")
    await place.save()
    assert place.saved is not None
    index, pack = (place.store.blobs.path(blob.sha256) for blob in place.saved.blobs)
    kept = pack.read_bytes()
    pack.write_bytes(b"CONTENT")
    with pytest.raises(SnapshotUnreadableError, match="'file'"):
        await place.restore()
    pack.unlink()
    with pytest.raises(BlobMissingError):
        await place.restore()
    pack.write_bytes(kept)
    index.write_bytes(b"damaged")
    with pytest.raises(SnapshotUnreadableError):
        await place.restore()


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../x", "link/x", "", "a//b", "x\0"])
def test_an_index_with_paths_that_lead_out_is_refused(path: str) -> None:
    entries = {"a": SavedEntry("d", 0o755), "link": SavedEntry("l", target="/etc")}
    index = WorkspaceIndex({**entries, path: SavedEntry("f", 0o644, 0, 0, "")})
    content = index.encode()
    with pytest.raises(SnapshotUnreadableError, match="path"):
        WorkspaceIndex.decode(content, hashlib.sha256(content).hexdigest())


@given(st.binary(max_size=200))
def test_other_bytes_are_not_an_index(content: bytes) -> None:
    with pytest.raises(SnapshotUnreadableError, match="not an index"):
        WorkspaceIndex.decode(content, hashlib.sha256(content).hexdigest())


class HeldStore(Stored):
    """A store that sends the files of a snapshot, but not its index, only after `release`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.directory / "store")
        self._index = "" if place.saved is None else place.saved.sha256
        self.is_read, self.release = asyncio.Event(), asyncio.Event()

    async def read(
        self, sha256: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        if sha256 != self._index:
            self.is_read.set()
            await self.release.wait()
        async for chunk in super().read(sha256, start, end):
            yield chunk


@pytest.mark.parametrize("first", [0, 1])
async def test_two_processes_restore_the_same_workspace(place: Place, first: int) -> None:
    """An attempt was frozen, and the next one runs in another process of the host."""
    write(place.root / "d" / "large", os.urandom(MIB))
    write(place.root / "d" / "small", "small")
    await place.save()
    assert place.saved is not None
    private, target = place.directory / "private", place.directory / "target"
    stores = [HeldStore(place), HeldStore(place)]
    restores = []
    for store in stores:
        snapshots = saving.Snapshots(store, private, owner=None)
        restores.append(asyncio.create_task(snapshots.restore(place.saved.sha256, target)))
        await store.is_read.wait()
    for number in (first, 1 - first):
        stores[number].release.set()
        await restores[number]
        assert describe(target) == describe(place.root)
    assert list(private.iterdir()) == []
