"""A disk for artifacts that is full, read-only or gone: a clear error, and nothing is lost."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import BlobStoreUnavailableError
from domain.files.blobs import NewBlob, identify
from domain.ids import new_id
from domain.tools.calls import SavedFile
from persistence.blobs.directory import DirectoryBlobs
from persistence.db.database import Database
from services import blobs as services
from services.blobs import Blobs
from tests.disks import SIZE_BYTES, SmallDisk
from tests.waiting import WITHIN_SECONDS

CONTENT = os.urandom(SIZE_BYTES // 2)


@pytest.fixture
def store(small_disk: SmallDisk) -> DirectoryBlobs:
    return DirectoryBlobs(small_disk.path / "artifacts")


@pytest.fixture
def blobs(database: Database, store: DirectoryBlobs) -> Blobs:
    return Blobs(database, store)


def files(store: DirectoryBlobs) -> list[Path]:
    return [path for path in store.incoming.rglob("*") if path.is_file()]


async def test_a_file_that_does_not_fit_leaves_nothing_behind(
    blobs: Blobs, store: DirectoryBlobs
) -> None:
    await blobs.add(b"first")
    with pytest.raises(BlobStoreUnavailableError, match=r"full\. Ask the operator to free space"):
        await blobs.add(bytes(2 * SIZE_BYTES))
    [_] = files(store)
    assert await blobs.read_bytes((await blobs.add(CONTENT)).sha256) == CONTENT


async def test_a_file_from_another_disk_leaves_no_part_of_it(
    blobs: Blobs, store: DirectoryBlobs, tmp_path: Path, small_disk: SmallDisk
) -> None:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    new = NewBlob(file, identify(CONTENT).sha256, len(CONTENT))
    small_disk.fill()
    with pytest.raises(BlobStoreUnavailableError, match="is full"):
        await blobs.put(new)
    assert files(store) == []
    small_disk.free()
    await blobs.put(new)
    assert not file.exists()
    assert await blobs.read_bytes(new.sha256) == CONTENT


@pytest.mark.parametrize(
    ("break_disk", "reason"),
    [
        (SmallDisk.make_read_only, "is not writable. Ask the operator to make it writable"),
        (SmallDisk.unmount, r"is unavailable \(No such file or directory\)"),
    ],
)
async def test_a_disk_that_can_not_be_written_to(
    blobs: Blobs,
    small_disk: SmallDisk,
    tmp_path: Path,
    break_disk: Callable[[SmallDisk], None],
    reason: str,
) -> None:
    await blobs.add(b"first")
    break_disk(small_disk)
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    with pytest.raises(BlobStoreUnavailableError, match=reason):
        await blobs.add(CONTENT)
    with pytest.raises(BlobStoreUnavailableError, match=reason):
        await blobs.put(NewBlob(file, identify(CONTENT).sha256, len(CONTENT)))
    assert file.exists()
    assert list((tmp_path / "disk").iterdir()) == []  # not stored below the disk


async def test_a_store_that_can_not_be_read(blobs: Blobs, store: DirectoryBlobs) -> None:
    stored = await blobs.add(CONTENT)
    directory = store.path(stored.sha256).parent
    directory.rename(directory.with_name("aside"))
    directory.touch()
    with pytest.raises(BlobStoreUnavailableError, match="Not a directory"):
        await blobs.size(stored.sha256)


class Noticed(DirectoryBlobs):
    """Sets an event after each attempt to store a file."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.was_tried = asyncio.Event()

    async def put(self, file: Path, sha256: str) -> None:
        try:
            await super().put(file, sha256)
        finally:
            self.was_tried.set()


async def test_a_worker_waits_for_its_store(
    database: Database, small_disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(content: bytes) -> SavedFile:
        path = tmp_path / "saved"
        path.write_bytes(content)
        return SavedFile("saved", "text/plain", path, len(content), identify(content).sha256)

    monkeypatch.setattr(services, "RETRY_SECONDS", 0.01)
    store = Noticed(small_disk.path)
    blobs = Blobs(database, store, patience_seconds=WITHIN_SECONDS)
    small_disk.fill()
    keep = blobs.keep(save(CONTENT), kind="artifact", tool_call_id=new_id())
    keeping = asyncio.create_task(keep)
    await store.was_tried.wait()
    small_disk.free()
    assert await blobs.read_bytes((await keeping).sha256) == CONTENT

    small_disk.fill()
    lost = save(b"other")
    with pytest.raises(BlobStoreUnavailableError, match="is full"):
        await Blobs(database, store).keep(lost, kind="artifact", tool_call_id=new_id())
    assert not lost.path.exists()
