"""Limits of a command as a whole: memory, disk space of its workspace, free space of the disk."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.ids import new_id
from domain.processor_time import ProcessorTime
from tests.tools.conftest import MakeCalls, SessionCalls, until
from tools import disk, priorities
from tools.limits import MIB, ToolLimits
from tools.processes import memory_of, tree_of
from tools.stores import ToolStores
from tools.toolbox import Toolbox

FORKS = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        memory = bytearray(40 * 1024 * 1024)
        time.sleep(60)
time.sleep(60)
"""
"""Six processes of 40 MiB."""

LOST_PARENTS = f"python3 -c '{FORKS.replace(chr(34), '')}' & sleep 60"
SHARING = """
import os, time
memory = bytearray(os.urandom(1024)) * (60 * 1024)
children = [os.fork() for _ in range(1)]
for _ in range(5):
    if 0 not in children:
        children.append(os.fork())
if 0 in children:
    time.sleep(2)
else:
    for child in children:
        os.waitpid(child, 0)
    print("done")
"""
"""Six processes that share 60 MiB."""


@pytest.mark.parametrize(
    "command", [f"python3 -c '{FORKS}'", LOST_PARENTS, f"setsid python3 -c '{FORKS}'"]
)
async def test_memory_counts_for_all_processes_together(
    make_calls: MakeCalls, command: str
) -> None:
    call = make_calls(limits=ToolLimits(command_memory_bytes=150 * MIB))
    outcome = await call("bash", command=command, timeout_seconds=50)
    assert outcome.is_error
    assert "ended, because its processes use more than 150 MiB of memory" in outcome.text
    assert await call.bash("echo fine") == "fine\n\n[exit code 0]"


async def test_shared_memory_counts_once(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(command_memory_bytes=150 * MIB))
    assert await call.bash(f"python3 -c '{SHARING}'") == "done\n\n[exit code 0]"


async def test_memory_of_processes() -> None:
    assert memory_of([os.getpid()], enough=1 << 40) > 5 * MIB
    assert memory_of([2**22 - 1], enough=0) == 0
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    assert memory_of([child.pid], enough=0) < memory_of([os.getpid()], enough=0)
    child.kill()
    await child.wait()


async def test_many_files_are_ended_at_the_size_of_a_workspace(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(workspace_bytes=60 * MIB))
    fill = "for n in $(seq 200); do head -c 5M /dev/zero > f$n; sleep 0.05; done"
    text = await call.bash(fill)
    assert "[ended, because the workspace has more than 60 MiB]" in text
    assert await size(call) < 500 * MIB  # of 1,000
    # Nothing grows now, but files can be deleted.
    full = await call.bash("echo x > small")
    assert "File size limit exceeded" in full
    assert "Delete files first" in full
    for refused in (
        await call.refusal("write_file", path="a", content="x"),
        await call.refusal("edit_file", path="f1", old_text="a", new_text="b"),
    ):
        assert "a workspace has 60 MiB" in refused
    assert await call.text("read_file", path="f1") != ""
    assert "[exit code 0]" in await call.bash("rm f*")
    disk_of(call)._known.clear()
    assert await call.bash("echo x > small; cat small") == "x\n\n[exit code 0]"
    await call.text("write_file", path="a", content="x")


async def test_one_file_ends_at_the_size_of_a_workspace(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(workspace_bytes=20 * MIB))
    assert "[exit code 0]" not in await call.bash("head -c 40M /dev/zero > f")
    assert (call.workspace / "f").stat().st_size <= 20 * MIB


async def test_holes_use_no_space(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(workspace_bytes=20 * MIB))
    assert "[exit code 0]" in await call.bash("truncate -s 15M a b c d e f; sleep 0.5")
    assert await size(call) < MIB


async def test_free_space_of_the_disk_is_left(
    make_calls: MakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = ToolLimits(reserved_disk_bytes=100 * MIB)
    call, other = make_calls(limits=limits), make_calls(limits=limits)
    free = [150 * MIB]
    monkeypatch.setattr(disk, "_free_bytes", lambda _: free[0])
    assert await call.bash("echo x > small; cat small") == "x\n\n[exit code 0]"
    running = asyncio.ensure_future(
        call.bash("head -c 20M /dev/zero > big; echo written; sleep 60")
    )
    modest = asyncio.ensure_future(other.bash("echo y > small; sleep 2; cat small"))
    made = call.workspace / "big", other.workspace / "small"
    while not all(path.exists() for path in made):  # noqa: ASYNC110 - commands set no event
        await asyncio.sleep(0.01)
    free[0] = 90 * MIB
    assert "[ended, because the disk of this machine is almost full]" in await running
    assert "[exit code 0]" in await modest
    assert "is full" in await call.refusal("write_file", path="a", content="x")
    free[0] = 150 * MIB
    await call.text("write_file", path="a", content="x")


async def test_a_disk_without_files_left_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.statvfs("/")
    fields: list[Any] = list(status)
    fields[5:8] = [1_000_000, 9_999, 9_999]  # f_files, f_ffree, f_favail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    assert disk._free_bytes(Path("/")) == 0
    fields[7] = 10_000
    assert disk._free_bytes(Path("/")) > 0


async def test_short_commands_are_notmeasured(
    call: SessionCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[Path] = []
    measure = disk.WorkspaceDisk.measure

    async def counted(self: disk.WorkspaceDisk, root: Path) -> int:
        measured.append(root)
        return await measure(self, root)

    monkeypatch.setattr(disk, "_free_bytes", lambda _: 1 << 40)
    monkeypatch.setattr(disk.WorkspaceDisk, "measure", counted)
    for n in range(5):
        await call.bash(f"echo {n} > f{n}")
    assert measured == [call.workspace]


async def test_a_user_without_room_stores_nothing_more(tmp_path: Path) -> None:
    room: list[int | None] = [5 * MIB]

    async def room_of(user_id: UUID) -> int | None:
        assert user_id == call.user_id
        return room[0]

    call = SessionCalls(
        Toolbox(tmp_path / "workspaces", host_id="here", stores=ToolStores(room=room_of))
    )
    assert "[exit code 0]" not in await call.bash("head -c 6M /dev/zero > f")
    assert (call.workspace / "f").stat().st_size <= 5 * MIB
    assert "[exit code 0]" in await call.bash("head -c 1M /dev/zero > f")
    assert len((await call("save_artifact", path="f")).artifacts) == 1
    room[0] = MIB // 2
    assert "may store 524,288 more" in await call.refusal("save_artifact", path="f")
    output = (await call("bash", command="head -c 4M /dev/zero")).whole_output
    assert output is not None
    assert output.size_bytes <= MIB
    room[0] = -1
    assert "user's storage is full" in await call.refusal("write_file", path="a", content="x")
    assert "File size limit exceeded" in await call.bash("echo x > g")
    assert "[exit code 0]" in await call.bash("rm f g")
    assert await call.text("list_files") == "(nothing in .)"
    room[0] = None
    await call.text("write_file", path="a", content="x" * 5000)
    size = await call.toolbox.measure(call.session_id)
    assert size is not None
    assert size >= 5000
    assert await call.toolbox.measure(call.session_id) is None


PRIORITY = "python3 -c 'import os; print(os.sched_getscheduler(0), os.nice(0))'"
NICENESS = max(os.getpriority(os.PRIO_PROCESS, 0), priorities.NICENESS)
USUAL, LAST = f"{os.SCHED_OTHER} {NICENESS}", f"{os.SCHED_IDLE} {NICENESS}"
BURN = "python3 -c 'while True: pass' & sh -c 'while :; do :; done'"


async def test_commands_of_a_user_who_took_much_time_come_last(
    make_calls: MakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend_at_once(monkeypatch)
    call = make_calls()
    other = SessionCalls(call.toolbox)
    assert (await call.bash(PRIORITY)).startswith(USUAL)
    await call.bash("sh -c 'i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'")
    same_user = SessionCalls(call.toolbox, user_id=call.user_id)
    assert (await same_user.bash(PRIORITY)).startswith(LAST)
    assert (await other.bash(PRIORITY)).startswith(USUAL)


async def test_a_running_command_loses_its_priority_until_the_time_is_paid_back(
    make_calls: MakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend_at_once(monkeypatch)
    call = make_calls()
    running = asyncio.ensure_future(call.bash(BURN))
    await until(lambda: bool(call.started))
    [identity] = call.started
    assert identity is not None
    leader = identity.process_group
    await until(lambda: {os.sched_getscheduler(p) for p in tree_of(leader)} == {os.SCHED_IDLE})
    assert session_niceness(leader) == 19
    monkeypatch.setattr(priorities, "_FREE_SECONDS", float("inf"))
    await until(lambda: session_niceness(leader) == priorities.NICENESS)
    policy = os.SCHED_OTHER if may_leave_idle() else os.SCHED_IDLE
    await until(lambda: {os.sched_getscheduler(p) for p in tree_of(leader)} == {policy})
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def spend_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users spend all after a tenth of a second, and earn nothing."""
    monkeypatch.setattr(priorities, "_FREE_SECONDS", 0.1)
    monkeypatch.setattr(priorities, "_EARNED_SHARE", 0.0)


def may_leave_idle() -> bool:
    """Whether the kernel lets processes of this user leave SCHED_IDLE."""
    become_idle, return_ = (["/usr/bin/chrt", policy, "0"] for policy in ("--idle", "--other"))
    return subprocess.run([*become_idle, *return_, "/bin/true"], check=False).returncode == 0


def session_niceness(process: int) -> int:
    return int(Path(f"/proc/{process}/autogroup").read_text().split()[-1])


def test_time_is_paid_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    taken, user, other = ProcessorTime(0.5, most_owed=10), new_id(), new_id()
    taken.charge(user, 4)
    taken.charge(user, 3)
    assert (taken.compute_owed(user), taken.compute_owed(other)) == (7, 0)
    now[0] += 4
    assert taken.compute_owed(user) == 5
    taken.charge(user, 100)
    assert taken.compute_owed(user) == 10
    now[0] += 60
    assert taken.compute_owed(user) == 0


def disk_of(call: SessionCalls) -> disk.WorkspaceDisk:
    return call.toolbox._disk


async def size(call: SessionCalls) -> int:
    return await disk_of(call).measure(call.workspace)
