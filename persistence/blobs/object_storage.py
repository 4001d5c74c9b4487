"""The store of files in object storage: S3 and compatible servers, Google Cloud Storage, Azure."""

import asyncio
import re
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import from_url

from domain.errors import BlobMissingError, BlobStoreUnavailableError
from domain.files.blobs import CHUNK_BYTES, StoredBlob

REQUEST_SECONDS = 120.0
"""The end of a large upload takes long: S3 puts the parts together (1 GiB took more than 30 s on a
busy machine, 2026-11-28)."""

RETRY_SECONDS = 30.0
"""A request that fails is repeated for this long: about the time of a failover (chosen)."""

PART_BYTES = 5 * 1024 * 1024
"""Of a large upload: the least that S3 accepts, which allows files of 50 GB in 10,000 parts."""

PARTS_AT_ONCE = 2
"""A process holds this many parts for each upload (chosen: memory is scarcer than time)."""

WINDOW_BYTES = 4 * 1024 * 1024
"""One request reads so much: a slow reader keeps no request open (chosen)."""

_KEY = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})")

log = structlog.get_logger(__name__)


class ObjectBlobs:
    """Files in a bucket or below a prefix of it (`domain.files.blobs.BlobStore`).

    Its methods raise `BlobStoreUnavailableError` when the storage does not answer or refuses.
    """

    def __init__(self, url: str) -> None:
        """`url`: `s3://bucket/prefix`, `gs://…` or `az://…`.

        The provider's own environment variables have the credentials and the endpoint.

        Raises:
            ValueError: the URL or a variable is invalid.
        """
        try:
            self._store = from_url(
                url,
                client_options={
                    "timeout": timedelta(seconds=REQUEST_SECONDS),
                    "allow_http": True,  # for an endpoint with http: only
                },
                retry_config={
                    "max_retries": 100,
                    "retry_timeout": timedelta(seconds=RETRY_SECONDS),
                    "backoff": {"max_backoff": timedelta(seconds=5)},
                },
            )
        except BaseError as error:
            raise ValueError(f"{url}: {_first_line(error)}") from error

    @property
    def incoming(self) -> Path:
        """The directory for temporary files (`TMPDIR`)."""
        return Path(tempfile.gettempdir())

    async def put(self, file: Path, sha256: str) -> None:
        """Upload a file, then delete it."""
        size = (await asyncio.to_thread(file.stat)).st_size
        # To ask whether a small file is there takes as long as to store it again.
        if size <= CHUNK_BYTES or await self.size(sha256) != size:
            try:
                await self._upload(file, sha256)
            except BlobStoreUnavailableError:
                # The end of an upload may have been lost only on its way back.
                if await self.size(sha256) != size:
                    raise
        await asyncio.to_thread(file.unlink)

    async def _upload(self, file: Path, sha256: str) -> None:
        with _reporting():
            await obstore.put_async(
                self._store,
                _key(sha256),
                file,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    async def size(self, sha256: str) -> int | None:
        """How many bytes are stored; None if the file is not in the store."""
        with _reporting():
            try:
                return (await obstore.head_async(self._store, _key(sha256)))["size"]
            except FileNotFoundError:
                return None

    async def read(
        self, sha256: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `end`, in chunks."""
        if end is None:
            end = await self.size(sha256)
        if end is None:
            raise BlobMissingError(sha256)
        while start < end:
            window = await self._read(sha256, start, min(end, start + WINDOW_BYTES))
            start += len(window)
            for position in range(0, len(window), CHUNK_BYTES):
                yield window[position : position + CHUNK_BYTES]

    async def _read(self, sha256: str, start: int, end: int) -> bytes:
        with _reporting():
            try:
                found = await obstore.get_range_async(
                    self._store, _key(sha256), start=start, end=end
                )
            except FileNotFoundError as error:
                raise BlobMissingError(sha256) from error
        return found.to_bytes()

    async def delete(self, sha256: str) -> None:
        """Delete a file; harmless if it is not in the store."""
        with _reporting(), suppress(FileNotFoundError):  # Azure reports it, S3 does not
            await obstore.delete_async(self._store, _key(sha256))

    async def clean(self) -> None:
        """Do nothing: a rule of the bucket deletes incomplete uploads."""

    async def list(self) -> AsyncGenerator[StoredBlob]:
        """Every file of the store."""
        pages = obstore.list(self._store)
        while True:
            with _reporting():
                page = await anext(pages, None)
            if page is None:
                return
            for found in page:
                if match := _KEY.fullmatch(found["path"]):
                    yield StoredBlob(match[1], found["size"])


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


@contextmanager
def _reporting() -> Iterator[None]:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:  # the bucket may not exist
        log.warning("artifacts.unavailable", error=_first_line(error))
        raise BlobStoreUnavailableError(
            "The store of artifacts is unavailable; retry in a few seconds. The log contains the "
            "reason."
        ) from error


def _first_line(error: Exception) -> str:
    """What is wrong. The lines after it repeat it for developers."""
    return str(error).partition("\n")[0]
