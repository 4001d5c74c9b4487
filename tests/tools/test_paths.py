"""No path and no symbolic link leads out of a workspace, whatever changes meanwhile."""

import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.errors import ToolInputError
from domain.workspaces.paths import relative_path
from tools.paths import Workspace, place_of

NAMES = st.sampled_from(["a", "b", "c", "workspace", "...", "ä b"])
PARTS = st.one_of(NAMES, st.sampled_from(["", ".", "..", "/"]))
PATHS = st.lists(PARTS, max_size=7).map("/".join) | st.text(max_size=20)
OUTSIDE = st.sampled_from(["/", "/etc", "../secret", "../../secret", "/secret", "/workspace/../.."])
TARGETS = PATHS | OUTSIDE | PATHS.map("/workspace/{}".format)

SECRET = b"of the host"


def make(root: Path) -> Workspace:
    workspace = Workspace(root / "workspace", root / "private", None)
    workspace.root.mkdir()
    workspace.private.mkdir()
    (root / "secret").write_bytes(SECRET)
    return workspace


def read(workspace: Workspace, path: str) -> bytes:
    with place_of(workspace, path) as place:
        file = place.open_file(1000)
    with os.fdopen(file, "rb") as opened:
        return opened.read()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make(tmp_path)


@given(PATHS)
def test_a_relative_path_has_no_way_up(path: str) -> None:
    relative = relative_path(path)
    assume(relative is not None)
    assert relative is not None
    assert not relative.startswith("/")
    assert ".." not in relative.split("/")
    assert relative_path(relative) == relative
    assert relative_path(f"/workspace//{relative}") == relative


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), TARGETS), max_size=6), PATHS)
def test_every_place_is_inside(links: list[tuple[list[str], str]], path: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        workspace = make(Path(directory))
        for parts, target in links:
            link = workspace.root.joinpath(*parts)
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
            except (OSError, ValueError):
                continue
        try:
            with place_of(workspace, path, make_directories=True) as place:
                where = Path(f"/proc/self/fd/{place.directory}").readlink()
                assert where == workspace.root or workspace.root in where.parents
                assert where / place.name == workspace.root / place.path
                assert not (where / place.name).is_symlink()
        except ToolInputError:
            pass


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "a/../../secret", "", "/", "a\0b", "/workspace/../secret"]
)
def test_paths_that_are_none(workspace: Workspace, path: str) -> None:
    with pytest.raises(ToolInputError, match="is not a path in the workspace"):
        read(workspace, path)


@pytest.mark.parametrize(
    "target", ["../secret", "/etc/passwd", "{root}/secret", "d/../../secret", "/proc/self/root"]
)
def test_links_out_of_the_workspace(workspace: Workspace, target: str) -> None:
    (workspace.root / "d").mkdir()
    (workspace.root / "link").symlink_to(target.format(root=workspace.root.parent))
    with pytest.raises(ToolInputError, match="symbolic link out of the workspace"):
        read(workspace, "link")
    with pytest.raises(ToolInputError, match="symbolic link out of the workspace"):
        read(workspace, "link/passwd")


@pytest.mark.parametrize("target", ["d/file", "./d/../d/file", "/workspace/d/file", "via"])
def test_links_inside_the_workspace_are_followed(workspace: Workspace, target: str) -> None:
    (workspace.root / "d").mkdir()
    (workspace.root / "d" / "file").write_bytes(b"inside")
    (workspace.root / "via").symlink_to("/workspace/d/file")
    (workspace.root / "link").symlink_to(target)
    assert read(workspace, "link") == b"inside"


def test_a_link_to_itself_ends(workspace: Workspace) -> None:
    (workspace.root / "a").symlink_to("b")
    (workspace.root / "b").symlink_to("a")
    with pytest.raises(ToolInputError, match="too many symbolic links"):
        read(workspace, "a")


@pytest.mark.parametrize("kind", ["fifo", "socket", "directory"])
def test_what_is_no_file_is_refused_at_once(workspace: Workspace, kind: str) -> None:
    path = workspace.root / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, 0o140600)
    else:
        path.mkdir()
    with pytest.raises(ToolInputError, match=r"is not a regular file|is a directory"):
        read(workspace, "x")


def test_a_device_is_refused(workspace: Workspace) -> None:
    (workspace.root / "null").symlink_to("/dev/null")
    with pytest.raises(ToolInputError, match="out of the workspace"):
        read(workspace, "null")


def test_a_large_file_is_refused(workspace: Workspace) -> None:
    (workspace.root / "x").write_bytes(b"0" * 1001)
    with pytest.raises(ToolInputError, match="has 1,001 bytes"):
        read(workspace, "x")


def test_swapping_links_while_reading_never_shows_the_outside(workspace: Workspace) -> None:
    """A directory changes into a link to the outside and back, as fast as it can."""
    root = workspace.root
    (root / "d").mkdir()
    (root / "d" / "secret").write_bytes(b"inside")
    (root / "link").symlink_to("..")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "d").rename(root / "kept")
            (root / "link").rename(root / "d")
            (root / "d").rename(root / "link")
            (root / "kept").rename(root / "d")

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(read(workspace, "d/secret"))
            except ToolInputError as error:
                seen.add(error.detail.encode())
    finally:
        stop.set()
        swapping.join()
    assert b"inside" in seen
    assert SECRET not in seen
    assert len(seen) > 1, "nothing was ever swapped in time"
