"""What a sandboxed command can't do. Each check tries the real thing."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.tools.conftest import MakeCalls, SessionCalls
from tools.launch import OOM_SCORE_ADJ
from tools.limits import MIB, ToolLimits
from tools.sandbox import exposure_problem


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/shadow",
        "ls /var",
        "ls /home",
        "cat /proc/1/root/etc/shadow",
        "touch /x",
        "touch /usr/x",
        "touch /etc/x",
        "touch /dev/x",
        "cat /proc/cmdline",
        "head -c 1 /proc/kallsyms",
        "head -c 1 /proc/keys",
        "mount -t tmpfs none /tmp",
        "unshare -U true",
        "unshare -n true",
        "chroot / true",
        "mknod device c 1 3",
        "chown 0 .",
        "cp /bin/true x && chmod 4755 x",
        "cp /bin/true x && chmod g+s x",
        "install -m 4755 /bin/true x",
        "mkdir -m 2755 d",
        "python3 -c 'import os; os.open(\"x\", os.O_CREAT | os.O_WRONLY, 0o4755)'",
        "python3 -c 'import os; os.open(\".\", os.O_TMPFILE | os.O_WRONLY, 0o2755)'",
        "python3 -c 'import os; os.mknod(\"x\", 0o104755)'",
        "python3 -c 'import os; os.memfd_create(\"x\")'",
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).shmget(0, 1 << 20, 0o600) < 0)'",
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).personality(0x40000) < 0)'",
        "echo 1 > /proc/sys/kernel/panic",
        "python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 53), 2)'",
        "python3 -c 'import socket; socket.socket(socket.AF_VSOCK)'",
        "python3 -c 'import ctypes; exit(-ctypes.CDLL(None).ptrace(0, 0, 0, 0))'",
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).keyctl(0, -3, 1) < 0)'",
        "python3 -c 'bytearray(4 << 30)'",
        "head -c 2000000 /dev/zero > big",
        "head -c 3000000 /dev/zero > /tmp/big",
        "head -c 100000000 /dev/zero > /dev/shm/big",
        "timeout 120 python3 -c 'while True: pass'; test $? = 124",
    ],
)
async def test_forbidden(make_calls: MakeCalls, command: str) -> None:
    limits = ToolLimits(written_file_bytes=MIB, tmp_bytes=2 * MIB, cpu_seconds=1)
    assert "[exit code 0]" not in await make_calls(limits=limits).bash(command)


async def test_ordinary_modes_and_memory_are_possible(call: SessionCalls) -> None:
    assert "[exit code 0]" in await call.bash(
        "install -m 755 /bin/true x && mkdir -m 1777 d && chmod 0640 x && ./x; touch y && "
        "chmod +x y && cp -a y z && tar cf t.tar y && tar xf t.tar && "
        "python3 -c 'import ctypes; exit(ctypes.CDLL(None).shmget(0, 56, 0o600) < 0)'"
    )


async def test_the_kernel_ends_commands_first(any_call: SessionCalls) -> None:
    score = await any_call.bash("cat /proc/self/oom_score_adj")
    assert score == f"{OOM_SCORE_ADJ}\n\n[exit code 0]"


async def test_commands_have_a_low_priority(any_call: SessionCalls) -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert await any_call.bash("nice") == f"{max(ours, 10)}\n\n[exit code 0]"


async def test_hard_limits_of_the_worker_below_a_commands_hold() -> None:
    """A limit can't be raised above them, and commands run nevertheless."""
    code = (
        "import asyncio, sys, tempfile; from pathlib import Path; from tools.toolbox import "
        "Toolbox; print(asyncio.run(Toolbox(Path(tempfile.mkdtemp()), host_id='x').probe()))"
    )
    limited = 'ulimit -v 3000000 && ulimit -n 512 && ulimit -f 1000 && ulimit -t 60 && exec "$@"'
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", limited, "sh", sys.executable, "-c", code),
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await process.communicate())[0] == b"None\n"


@pytest.mark.parametrize("home", ["/usr/local/perdure", "/lib64/x", "/etc/alternatives/x"])
def test_a_home_that_commands_could_read_is_refused(home: str, tmp_path: Path) -> None:
    assert "PERDURE_HOME" in (exposure_problem(Path(home)) or "")
    (tmp_path / "link").symlink_to(home)
    assert exposure_problem(tmp_path / "link" / "below") is not None
    assert exposure_problem(tmp_path) is None


async def test_there_is_no_network_to_the_host(call: SessionCalls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}))'"
        assert "Connection refused" in await call.bash(connect)
    assert await call.bash("ls /sys/class/net") != "lo"
    assert "lo" in await call.bash("cut -d: -f1 /proc/net/dev | tail -n +3")


async def test_no_process_of_the_host_is_seen(call: SessionCalls) -> None:
    seen = await call.bash("cat /proc/[0-9]*/comm")
    assert set(seen.splitlines()) <= {"sh", "bash", "cat", "", "[exit code 0]"}
    assert "[exit code 1]" in await call.bash(f"kill -0 {os.getpid()}")


async def test_there_are_no_capabilities_and_there_is_a_filter(call: SessionCalls) -> None:
    status = await call.bash("cat /proc/self/status")
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status
    assert "Seccomp:\t2" in status


async def test_only_three_files_are_open(call: SessionCalls) -> None:
    assert await call.bash("ls /proc/self/fd") == "0\n1\n2\n3\n\n[exit code 0]"
    assert await call.bash("readlink /proc/self/fd/0") == "/dev/null\n\n[exit code 0]"


async def test_a_fork_bomb_is_stopped_and_cleared_away(make_calls: MakeCalls) -> None:
    call = make_calls(limits=ToolLimits(processes=64))
    outcome = await call(
        "bash", command="for i in $(seq 200); do sleep 60 & done; echo all", timeout_seconds=5
    )
    assert "fork: retry: Resource temporarily unavailable" in outcome.text
    assert await call.bash("echo still fine") == "still fine\n\n[exit code 0]"


async def test_the_environment_is_made_anew(call: SessionCalls) -> None:
    names = await call.bash("env | cut -d= -f1 | sort | tr '\\n' ' '")
    assert names.split("\n")[0].split() == ["HOME", "LANG", "PATH", "PWD", "SHLVL", "TERM", "_"]


async def test_a_workspace_is_not_seen_from_another(make_calls: MakeCalls) -> None:
    own, other = make_calls(), make_calls()
    secret = other.workspace / "secret"
    secret.write_text("canary-8")
    await own.bash(f"ln -s {secret} link; ln -s ../{other.session_id}/secret link2")
    for path in (str(secret), "link", "link2", f"../{other.session_id}/secret"):
        assert "canary-8" not in await own.bash(f"cat {path}")
    assert own.workspace.stat().st_mode & 0o777 == 0o700


async def test_tmp_is_empty_for_each_command_and_the_workspace_stays(call: SessionCalls) -> None:
    assert await call.bash("echo x > /tmp/a; echo y > b") == "[exit code 0]"
    assert await call.bash("ls /tmp; cat b") == "y\n\n[exit code 0]"


async def test_ordinary_work_is_possible(call: SessionCalls) -> None:
    assert "hi 3" in await call.bash("python3 -c 'print(\"hi\", 1 + 2)' | tee out; cat out")
    assert await call.bash("whoami; id -u; pwd") == "user\n65534\n/workspace\n\n[exit code 0]"
    assert "[exit code 0]" in await call.bash(
        "mkdir d && cd d && ln -s ../out link && cat link && mkfifo f && tar c . | wc -c"
    )


async def test_the_same_answer_from_the_probe(call: SessionCalls, make_calls: MakeCalls) -> None:
    assert await call.toolbox.probe() is None
    assert await make_calls("none").toolbox.probe() is None


async def test_workspaces_below_directories_of_others_work(
    tmp_path: Path, call: SessionCalls
) -> None:
    """pytest's directories are closed to the sandbox's user, as a home of root is."""
    assert tmp_path.parent.stat().st_mode & 0o077 == 0
    assert await call.bash("echo works") == "works\n\n[exit code 0]"


async def test_files_of_the_tools_and_of_commands_are_of_one_user(call: SessionCalls) -> None:
    await call.text("write_file", path="a/b.sh", content="echo 1\n")
    assert await call.bash("echo echo 2 >> a/b.sh; touch a/c; sh a/b.sh") == "1\n2\n\n[exit code 0]"
    await call.text("edit_file", path="a/b.sh", old_text="echo 2", new_text="echo 3")
    assert await call.bash("chmod +x a/b.sh && rm -r a && echo gone") == "gone\n\n[exit code 0]"


async def test_limits_hold_for_each_of_many(make_calls: MakeCalls) -> None:
    """The processes of one sandbox don't count against those of another."""
    call = make_calls(limits=ToolLimits(processes=20))
    many = [call.bash("for i in 1 2 3 4 5 6; do sleep 0.3 & done; wait") for _ in range(6)]
    assert await asyncio.gather(*many) == ["[exit code 0]"] * 6
