"""What every store of files does."""

import hashlib
from pathlib import Path

import pytest

from domain.blobs import CHUNK_BYTES, BlobStore, StoredBlob
from domain.errors import BlobMissingError
from persistence.blobs.directory import DirectoryBlobs

CONTENT = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"end"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "artifacts")


@pytest.fixture(params=["directory"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    found: BlobStore = request.getfixturevalue(request.param)
    return found


async def put(store: BlobStore, content: bytes) -> Path:
    file = store.incoming / "new"
    file.write_bytes(content)
    await store.put(file, hashlib.sha256(content).hexdigest())
    return file


async def read(store: BlobStore, start: int = 0, end: int | None = None) -> bytes:
    chunks = [chunk async for chunk in store.read(SHA256, start, end)]
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    return b"".join(chunks)


async def test_a_stored_file_is_read_whole_or_in_part(store: BlobStore) -> None:
    assert await store.size(SHA256) is None
    assert not (await put(store, CONTENT)).exists()
    assert not (await put(store, CONTENT)).exists()
    assert await store.size(SHA256) == len(CONTENT)
    assert await read(store) == CONTENT
    assert await read(store, 5, 2 * CHUNK_BYTES) == CONTENT[5 : 2 * CHUNK_BYTES]
    assert await read(store, len(CONTENT) - 3) == b"end"
    assert await read(store, 7, 7) == b""
    await put(store, b"")
    empty = StoredBlob(hashlib.sha256().hexdigest(), 0)
    found = [blob async for blob in store.list()]
    assert sorted(found, key=lambda blob: blob.size_bytes) == [
        empty,
        StoredBlob(SHA256, len(CONTENT)),
    ]
    assert [chunk async for chunk in store.read(empty.sha256)] == []


async def test_a_deleted_file_is_missing(store: BlobStore) -> None:
    await put(store, CONTENT)
    for _ in range(2):
        await store.delete(SHA256)
    assert await store.size(SHA256) is None
    with pytest.raises(BlobMissingError, match=SHA256):
        await read(store)
    assert [blob async for blob in store.list()] == []
