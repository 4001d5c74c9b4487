"""Snapshots of workspaces: only what changed is stored, and all of it is restored elsewhere."""

import errno
import hashlib
import os
import shutil
import socket
import stat
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BlobMissingError, BlobStoreUnavailableError, WorkspaceNotSavedError
from domain.files.blobs import NewBlob
from domain.ids import new_id
from domain.workspaces.snapshots import (
    SavedEntry,
    SnapshotUnreadableError,
    WorkspaceIndex,
    WorkspaceSnapshot,
    WorkspaceVersion,
)
from domain.workspaces.sparse_files import is_sparse
from persistence.blobs.directory import DirectoryBlobs
from tests.tools.conftest import HOST, SessionCalls
from tools.snapshots import saving, scanning
from tools.snapshots.packs import LARGE_BYTES
from tools.snapshots.saving import Snapshots
from tools.stores import ToolStores
from tools.toolbox import Toolbox
from tools.workspaces import RESTORED

MIB = 1024 * 1024


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


async def test_everything_is_restored(place: Place) -> None:
    root = place.root
    write(root / "program", "#!/bin/sh", 0o4755)
    write(root / "a/b/c/file", "deep")
    write(root / "same", "deep")
    write(root / "empty", "")
    write(root / "large", os.urandom(LARGE_BYTES + 17))
    (root / "nothing/inside").mkdir(parents=True)
    (root / "closed").mkdir(mode=0o500)
    (root / "link").symlink_to("a/b")
    (root / "outside").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("loop")
    write(root / os.fsdecode(b"not-\xff-text"), "name")
    os.utime(root / "program", ns=(1, 1_000_000_007))
    await place.save()
    (root / "program").chmod(0o755)  # setuid is dropped
    assert describe(await place.restore()) == describe(root)
    assert await place.save() is not None or place.saved is not None
    (root / "closed").chmod(0o700)


async def test_only_what_changed_is_stored(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_SETTLED_NS", -(10**12))
    for number in range(50):
        write(place.root / f"d{number % 5}/f{number}", os.urandom(1000))
    assert await place.save() == 50_000
    assert await place.save() is None
    write(place.root / "d1/f1", os.urandom(1000))
    assert await place.save() == 1000
    (place.root / "d2").rename(place.root / "moved")
    assert await place.save() == 0  # the same bytes, elsewhere
    (place.root / "d3/f3").unlink()
    write(place.root / "d3/f3", "x" * 7)
    assert await place.save() == 7
    place.restart()
    assert await place.save() is None
    shutil.rmtree(place.root / "d0")
    write(place.root / "copy", (place.root / "d1/f1").read_bytes())
    assert await place.save() == 0
    await place.check()


async def test_a_change_without_a_new_size_or_time_is_found(place: Place) -> None:
    """Also in the same tick of the clock as the snapshot."""
    file = place.root / "file"
    for number in range(5):
        write(file, f"{number}")
        os.utime(file, ns=(1, 1))
        await place.check()


async def test_special_files_and_unreadable_ones_are_left_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(place.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.root / "socket"))
    write(place.root / "secret", "unreadable")
    write(place.root / "file", "readable")
    place.root.joinpath(*["d" * 200] * 16).mkdir(parents=True)
    before = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if path == "secret":
            raise PermissionError(errno.EACCES, "no")
        return before(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    await place.save()
    monkeypatch.undo()
    assert place.saved is not None
    target = place.directory / "target"
    left_out = await place.snapshots.restore(place.saved.sha256, target)
    assert "secret" in left_out
    assert any(path.startswith("d" * 200) for path in left_out)
    assert {path.name for path in target.iterdir()} == {"file", "d" * 200}


async def test_holes_stay_holes(place: Place) -> None:
    with (place.root / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(500 << 20)
        file.write(b"middle")
    with (place.root / "hole").open("wb") as file:
        file.truncate(1 << 30)
    assert (await place.save() or 0) < MIB
    restored = await place.restore()
    status = (restored / "sparse").stat()
    assert (status.st_size, is_sparse(status)) == (1 << 40, True)
    assert (restored / "hole").stat().st_size == 1 << 30
    with (restored / "sparse").open("rb") as copy:
        copy.seek((500 << 20) - 2)
        assert copy.read(10) == b"\0\0middle\0\0"


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


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that the user for commands can reach."""
    tmp_path.chmod(0o755)
    return tmp_path


async def test_abandoned_restores_are_deleted(open_path: Path) -> None:
    toolbox = Toolbox(open_path / "w", host_id=HOST)
    private = toolbox.workspaces.private
    for name in ("restore-old", "restore-new", "probe"):
        (private / name / "d").mkdir(parents=True)
        if name != "restore-new":
            os.utime(private / name, (0, 0))
    await toolbox.delete_abandoned_restores()
    assert sorted(path.name for path in private.iterdir()) == ["probe", "restore-new"]


async def test_tools_continue_on_another_host(open_path: Path) -> None:
    tmp_path = open_path
    store = Stored(tmp_path / "store")
    first = SessionCalls(
        Toolbox(tmp_path / "first", host_id=HOST, stores=ToolStores(snapshots=store))
    )
    await first.bash("mkdir d; echo one > d/file; ln -s d/file link")
    first_saved = await first.toolbox.save_workspace(first.session_id, WorkspaceVersion())
    assert first_saved is not None
    version = WorkspaceVersion(0, first_saved.sha256)
    await first.text("read_file", path="link")
    assert await first.toolbox.save_workspace(first.session_id, version) is None
    await first.bash("echo lost > d/late")
    other = SessionCalls(
        Toolbox(tmp_path / "second", host_id=HOST, stores=ToolStores(snapshots=store))
    )
    other.session_id = first.session_id
    moved = WorkspaceVersion(1, first_saved.sha256)
    other.version = moved
    missing = await other.refusal("read_file", path="d/late")
    assert missing.startswith(RESTORED)
    text = await other.text("bash", command="cat link; ls d; echo two > d/file")
    assert text == "one\nfile\n\n[exit code 0]"
    saved = await other.toolbox.save_workspace(other.session_id, moved)
    assert saved is not None
    # A workspace that returns gets a directory of its own, when its files are restored.
    assert await first.toolbox.measure(first.session_id, 2) is None
    first.version = WorkspaceVersion(2, saved.sha256)
    assert "two" in await first.text("bash", command="cat link; ls d")
    assert await first.toolbox.list_sessions() == [first.session_id]
    await first.toolbox.remove({first.session_id: 2, new_id(): None})
    assert [p.name for p in (tmp_path / "first").iterdir() if p.name[0] != "."] == [
        f"{first.session_id}.2"
    ]
