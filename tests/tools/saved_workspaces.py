"""Workspaces that tests save and restore."""

import hashlib
import os
import stat
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from domain.files.blobs import NewBlob
from domain.workspaces.snapshots import WorkspaceSnapshot
from persistence.blobs.directory import DirectoryBlobs
from tools.snapshots.saving import Snapshots


class Stored:
    """The store of files without its rows; counts what it stores."""

    def __init__(self, root: Path) -> None:
        self.blobs = DirectoryBlobs(root)
        self.sizes: list[int] = []

    async def put_all(self, new: Sequence[NewBlob]) -> None:
        for blob in new:
            assert hashlib.sha256(blob.path.read_bytes()).hexdigest() == blob.sha256
            self.sizes.append(blob.size_bytes)
            await self.blobs.put(blob.path, blob.sha256)

    def read(
        self, sha256: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        return self.blobs.read(sha256, start, end)


@dataclass
class Place:
    """A workspace that is saved and restored."""

    directory: Path
    store: Stored = field(init=False)
    root: Path = field(init=False)
    snapshots: Snapshots = field(init=False)
    saved: WorkspaceSnapshot | None = None

    def __post_init__(self) -> None:
        self.store = Stored(self.directory / "store")
        self.root = self.directory / "workspace"
        self.root.mkdir()
        self.restart()

    def restart(self) -> None:
        """As after the start of another worker: nothing is remembered."""
        private = self.directory / "private"
        private.mkdir(exist_ok=True)
        self.snapshots = Snapshots(self.store, private, owner=None)

    async def save(self) -> int | None:
        """Save; returns the bytes that were stored without the index, None if nothing changed."""
        self.store.sizes.clear()
        recorded = None if self.saved is None else self.saved.sha256
        saved = await self.snapshots.save(self.root, recorded)
        assert list((self.directory / "private").iterdir()) == []
        if saved is None:
            return None
        self.saved = saved
        return sum(self.store.sizes[:-1])

    async def restore(self) -> Path:
        assert self.saved is not None
        target = self.directory / f"restored-{os.urandom(4).hex()}"
        await self.snapshots.restore(self.saved.sha256, target)
        assert list((self.directory / "private").iterdir()) == []
        return target

    async def check(self) -> None:
        """Save, and compare what is restored with the workspace."""
        await self.save()
        restored = await self.restore()
        assert describe(restored) == describe(self.root)


def describe(root: Path) -> dict[str, Any]:
    """Every entry with its kind, mode, times and content."""
    found: dict[str, Any] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        name = os.fsencode(path.relative_to(root)).decode(errors="surrogateescape")
        if path.is_symlink():
            found[name] = ("link", path.readlink())
        elif path.is_dir():
            found[name] = ("directory", mode)
        elif path.is_file():
            found[name] = ("file", mode, status.st_mtime_ns, path.read_bytes())
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
