"""What every store of files does."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from domain.errors import BlobMissingError, BlobStoreUnavailableError
from domain.files.blobs import CHUNK_BYTES, BlobStore, StoredBlob
from domain.ids import new_id
from persistence.blobs.directory import DirectoryBlobs
from persistence.blobs.object_storage import ObjectBlobs
from tests.object_storage import make_private_key

CONTENT = bytes(range(256)) * (12 * CHUNK_BYTES // 256) + b"end"
"""Three parts of an upload, and three windows of a download."""

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "artifacts")


@pytest.fixture
def objects(bucket: str) -> ObjectBlobs:
    return ObjectBlobs(bucket)


@pytest.fixture
def azure(container: str) -> ObjectBlobs:
    return ObjectBlobs(container)


@pytest.fixture
def google(google_bucket: str) -> ObjectBlobs:
    return ObjectBlobs(google_bucket)


@pytest.fixture(params=["directory", "objects", "azure", "google"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    found: BlobStore = request.getfixturevalue(request.param)
    return found


async def put(store: BlobStore, content: bytes) -> Path:
    file = store.incoming / f"new-{new_id()}"
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


async def test_a_file_that_could_not_be_stored_can_be_stored_again(
    directory: DirectoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    file = directory.incoming / "new"
    file.write_bytes(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="broken"):
            await directory.put(file, SHA256)
    await directory.put(file, SHA256)
    assert await read(directory) == CONTENT


async def test_storage_that_refuses_is_unavailable(
    bucket: str,
    google_bucket: str,
    google_storage: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "new"
    file.write_bytes(b"x")
    with pytest.raises(BlobStoreUnavailableError):  # there is no such bucket
        await ObjectBlobs("s3://none").put(file, SHA256)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret key")
    store = ObjectBlobs(bucket)
    for request in (store.size(SHA256), store.delete(SHA256), anext(store.list())):
        with pytest.raises(BlobStoreUnavailableError, match="artifacts is unavailable"):
            await request
    _, place = google_storage
    account = json.loads((place / "account.json").read_text())
    other = tmp_path / "account.json"
    other.write_text(json.dumps({**account, "private_key": make_private_key()}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(other))
    with pytest.raises(BlobStoreUnavailableError, match="artifacts is unavailable"):
        await ObjectBlobs(google_bucket).put(file, SHA256)
    assert file.exists()


@pytest.mark.parametrize("url", ["az://container", "s4://bucket"])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=url):
        ObjectBlobs(url)
