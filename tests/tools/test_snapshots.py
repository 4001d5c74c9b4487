"""Snapshots of workspaces: only what changed is stored, and all of it is restored elsewhere."""

import errno
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from domain.ids import new_id
from domain.workspaces.snapshots import WorkspaceVersion
from domain.workspaces.sparse_files import is_sparse
from tests.tools.conftest import HOST, SessionCalls
from tests.tools.saved_workspaces import Place, Stored, describe, place, write
from tools.snapshots import scanning
from tools.snapshots.packs import LARGE_BYTES
from tools.stores import ToolStores
from tools.toolbox import Toolbox
from tools.workspaces import RESTORED

__all__ = ["place"]

MIB = 1024 * 1024


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
