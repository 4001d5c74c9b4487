"""Where tools work: in deep directories, and in directories that are listed."""

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from domain.errors import ToolInputError
from domain.ids import new_id, read_creation_time
from domain.tools.calls import ProcessIdentity, ToolOutcome
from tests.tools.conftest import HOST, SessionCalls
from tests.waiting import until
from tools.changes import list_changed
from tools.disk import WorkspaceDisk
from tools.launch import Unprotected
from tools.limits import ToolLimits
from tools.paths import Workspace, place_of
from tools.sandbox import SANDBOX_USER, Bubblewrap
from tools.shell import Shell
from tools.toolbox import Toolbox
from tools.workspaces import Workspaces

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A directory that the operator has listed, open to commands."""
    directory = tmp_path / "listed"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


@pytest.fixture
def caller(tmp_path: Path, listed: Path) -> SessionCalls:
    tmp_path.chmod(0o755)
    toolbox = Toolbox(tmp_path / "workspaces", host_id=HOST, working_directories=[listed])
    return SessionCalls(toolbox)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def close(directory: Path, mode: int) -> None:
    directory.chmod(mode)


async def run(
    caller: SessionCalls, name: str, /, *, given: Mapping[str, Any] | None = None, **fields: Any
) -> ToolOutcome:
    """A call with this input and other fields of the invocation than its input."""
    return await caller.run(replace(caller.invocation(name, **(given or {})), **fields))


def deep(levels: int) -> str:
    """A command that makes directories inside each other."""
    make = f'for _ in range({levels}): os.mkdir("d"); os.chdir("d")'
    return f"python3 -c 'import os\n{make}'"


async def test_a_path_does_not_use_up_the_files_of_the_worker(caller: SessionCalls) -> None:
    await caller.bash(deep(500))
    assert "more than 200 dir" in await caller.refusal("read_file", path="d/" * 500 + "f")
    assert "more than 200 dir" in await caller.refusal(
        "write_file", path="e/" * 500 + "f", content="x"
    )
    assert "[exit code 0]" in await caller.bash("rm -r d e")


async def test_tools_work_in_a_listed_directory(caller: SessionCalls, listed: Path) -> None:
    project = listed / "project"
    project.mkdir()
    project.chmod(0o777)
    (project / "readme").write_text("hello")
    where: dict[str, Any] = {"working_directory": str(project)}
    outcome = await run(caller, "bash", given={"command": "cat readme; echo made > new"}, **where)
    assert outcome.text.startswith("hello")
    assert (project / "new").read_text() == "made\n"
    made = {"path": "deep/written", "content": "by a tool"}
    assert not (await run(caller, "write_file", given=made, **where)).is_error
    assert (project / "deep/written").read_text() == "by a tool"
    edit = {"path": "new", "old_text": "made", "new_text": "edited"}
    assert not (await run(caller, "edit_file", given=edit, **where)).is_error
    assert (project / "new").read_text() == "edited\n"
    assert not caller.workspace.samefile(project)


async def test_no_other_directory_is_worked_in(
    caller: SessionCalls, listed: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (listed / "link").symlink_to(outside)
    for path in (outside, listed / "link", listed / ".." / "outside", listed / "absent"):
        outcome = await run(caller, "list_files", working_directory=str(path))
        assert outcome.is_error, path


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_a_link_that_is_put_in_its_place_leads_nowhere(
    tmp_path: Path, listed: Path, sandbox: Literal["auto", "none"]
) -> None:
    """By another task, which works in the directory above, between the check and the use."""
    close(tmp_path, 0o755)
    limits = ToolLimits()
    confinement = Unprotected(limits) if sandbox == "none" else Bubblewrap(limits)
    project, outside = listed / "project", tmp_path / "outside"
    for directory in (project, outside):
        directory.mkdir()
        close(directory, 0o777)
    workspaces = Workspaces(tmp_path / "w", owner=confinement.owner, listed=[listed])
    command = replace(
        SessionCalls(Toolbox(tmp_path / "t", host_id=HOST)).invocation(
            "bash", command="touch here"
        ),
        working_directory=str(project),
    )
    site = await workspaces.site(command)
    shell = Shell(confinement, host_id=HOST, limits=limits, disk=WorkspaceDisk(limits))
    assert not (await shell.bash(site.workspace, command, record_nothing)).is_error
    project.rename(listed / "moved")
    project.symlink_to(outside)
    with pytest.raises(ToolInputError, match="was replaced"):
        await shell.bash(site.workspace, command, record_nothing)
    with pytest.raises(ToolInputError), place_of(site.workspace, "a"):
        pass
    assert names(outside) == []
    assert names(listed / "moved") == ["here"]


async def record_nothing(_: ProcessIdentity | None) -> None:
    """Nobody keeps the record here."""


async def test_the_owner_of_a_directory_is_named(caller: SessionCalls, listed: Path) -> None:
    close(listed, 0o755 if IS_ROOT else 0o555)
    where: dict[str, Any] = {"working_directory": str(listed)}
    written = await run(caller, "write_file", given={"path": "a", "content": ""}, **where)
    assert written.is_error
    assert f"commands run as user {SANDBOX_USER if IS_ROOT else os.geteuid()}" in written.text
    command = await run(caller, "bash", given={"command": "touch a"}, **where)
    assert "can't be written" in command.text
    assert not (await run(caller, "list_files", **where)).is_error
    close(listed, 0o700 if IS_ROOT else 0o000)
    assert "can't be read" in (await run(caller, "list_files", **where)).text


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system."""
    directory = Path("/dev/shm") / f"perdure-{new_id().hex}"  # noqa: S108 - it is memory
    directory.mkdir()
    directory.chmod(0o777)
    assert directory.stat().st_dev != tmp_path.stat().st_dev
    yield directory
    shutil.rmtree(directory)


async def test_files_are_moved_between_file_systems(tmp_path: Path, elsewhere: Path) -> None:
    caller = SessionCalls(Toolbox(tmp_path / "w", host_id=HOST, working_directories=[elsewhere]))
    where: dict[str, Any] = {"working_directory": str(elsewhere)}
    made = {"path": "file", "content": "one"}
    assert not (await run(caller, "write_file", given=made, **where)).is_error
    edit = {"path": "file", "old_text": "one", "new_text": "two"}
    assert not (await run(caller, "edit_file", given=edit, **where)).is_error
    assert (elsewhere / "file").read_text() == "two"
    assert names(elsewhere) == ["file"]


async def test_changes_in_a_working_directory_are_found(caller: SessionCalls, listed: Path) -> None:
    """Files that are only read, and those that editors rewrite in `.git`, are left out."""
    kept = listed / "kept"
    for path in (kept, listed / "src" / "old.py", listed / ".git" / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (listed / "loop").symlink_to(listed)
    invocation = replace(caller.invocation("bash"), working_directory=str(listed))

    async def changed_by(change: Callable[[], object]) -> Sequence[str]:
        since = read_creation_time(new_id()) + timedelta(milliseconds=1)
        until(
            lambda: datetime.now(UTC) > since + timedelta(milliseconds=20)
        )  # of the kernel's clock
        change()
        return await caller.toolbox.list_changed(invocation, since)

    assert await changed_by(kept.read_text) == []
    assert await changed_by((listed / ".git" / "index").touch) == []
    assert await changed_by(partial(kept.write_text, "y")) == ["kept"]
    assert await changed_by(partial(os.utime, kept, (1, 1))) == ["kept"]
    assert await changed_by((listed / "src" / "new.py").touch) == ["src/", "src/new.py"]
    assert await changed_by((listed / "src" / "old.py").unlink) == ["src/"]
    assert await changed_by(partial(shutil.rmtree, listed / "src")) == ["./"]
    moved = partial((listed / ".git" / "refs" / "main").write_text, "z")
    assert await changed_by(moved) == [".git/refs/main"]
    gone = replace(invocation, working_directory=str(listed / "gone"))
    assert await caller.toolbox.list_changed(gone, read_creation_time(new_id())) == ()


async def test_changes_below_many_directories_are_left_out(
    caller: SessionCalls, listed: Path
) -> None:
    where: dict[str, Any] = {"working_directory": str(listed)}
    deeper = sys.getrecursionlimit() + 100
    since = read_creation_time(new_id()) - timedelta(minutes=1)
    await run(caller, "bash", given={"command": deep(deeper)}, **where)
    invocation = replace(caller.invocation("bash"), working_directory=str(listed))
    found = await caller.toolbox.list_changed(invocation, since)
    assert {"./", "d/", "d/d/"} <= {*found}
    assert 200 <= len(found) < deeper
    await run(caller, "bash", given={"command": "rm -r d"}, **where)


def test_changes_in_a_closed_directory_are_left_out(elsewhere: Path) -> None:
    (elsewhere / "closed").mkdir()
    (elsewhere / "closed" / "inside").touch()
    (elsewhere / "closed").chmod(0o644)  # its entries can be listed, but not opened

    def list_as_another_user() -> Sequence[str]:
        ctypes.CDLL(None).setfsuid(SANDBOX_USER)  # of this thread
        workspace = Workspace(root=elsewhere, private=elsewhere, owner=None)
        return list_changed(workspace, read_creation_time(new_id()) - timedelta(minutes=1))

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(list_as_another_user).result()
    (elsewhere / "closed").chmod(0o755)
    assert found == ["./", "closed/"]
