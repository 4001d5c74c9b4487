"""The bash tool: what it gives back, when it runs, and that nothing of it is left."""

import asyncio
import hashlib
import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from domain.tools.calls import ProcessIdentity, ToolEffect, ToolOutcome
from tests.tools.conftest import HOST, MakeCalls, SessionCalls, until
from tools.limits import MIB
from tools.processes import read_started_ticks


def running(token: str) -> list[int]:
    """Processes that have the token in their command line and have not ended."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        info = process.info
        if token in " ".join(info["cmdline"] or []) and info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def count_open() -> Counter[str]:
    """The pipes, files and processes that this process holds open.

    Tools open no sockets; those of servers and workers that other tests share come and go.
    """
    found: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found[str(descriptor.readlink())] += 1
    return Counter({target: n for target, n in found.items() if not target.startswith("socket:")})


def list_unreaped() -> list[int]:
    """Children of this process that have ended and that nobody has waited for."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            found += [child.pid] if child.status() == psutil.STATUS_ZOMBIE else []
    return found


async def wait_until_gone(token: str) -> None:
    """Wait until nothing with the token runs any more; left alone it would for years."""
    await until(lambda: running(token) == [])


def token() -> str:
    """A duration for `sleep` that no other test uses."""
    return f"6{int.from_bytes(os.urandom(5))}"


async def test_output_and_exit_code_in_the_order_they_came(any_call: SessionCalls) -> None:
    outcome = await any_call("bash", command="echo out; echo err >&2; echo again; exit 3")
    assert outcome == ToolOutcome("out\nerr\nagain\n\n[exit code 3]", is_error=True)
    assert await any_call("bash", command="true") == ToolOutcome("[exit code 0]")


async def test_a_command_works_in_its_workspace_and_reads_nothing(any_call: SessionCalls) -> None:
    assert await any_call.bash("echo x > y && cat y && cat && [ ! -t 0 ]") == "x\n\n[exit code 0]"
    assert (any_call.workspace / "y").read_text() == "x\n"


async def test_a_signal_becomes_an_exit_code(any_call: SessionCalls) -> None:
    assert "[exit code 137]" in await any_call.bash("kill -KILL $$")


async def test_a_command_that_does_not_exist(any_call: SessionCalls) -> None:
    assert "[exit code 127]" in await any_call.bash("no-such-command")


async def test_the_worker_environment_is_not_seen(
    any_call: SessionCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-7")
    assert "canary-7" not in await any_call.bash("env; cat /proc/self/environ")


async def test_slow_commands_are_ended_with_all_they_started(any_call: SessionCalls) -> None:
    duration = token()
    outcome = await any_call(
        "bash", command=f"echo begun; sleep {duration} & sleep {duration}", timeout_seconds=3
    )
    assert outcome == ToolOutcome("begun\n\n[ended after 3 s, its time-out]", is_error=True)
    await wait_until_gone(duration)


async def test_background_processes_end_with_the_command(any_call: SessionCalls) -> None:
    duration = token()
    assert await any_call.bash(f"sleep {duration} & echo done") == "done\n\n[exit code 0]"
    await wait_until_gone(duration)


def test_what_a_command_can_change_depends_on_the_sandbox(make_calls: MakeCalls) -> None:
    specs = [make_calls(sandbox).toolbox.spec("bash") for sandbox in ("auto", "none")]
    effects = [spec and spec.effect for spec in specs]
    assert effects == [ToolEffect.WORKSPACE, ToolEffect.EXTERNAL]


async def test_a_daemon_can_not_leave_the_sandbox(call: SessionCalls) -> None:
    duration = token()
    await call.bash(f"setsid nohup sleep {duration} >/dev/null 2>&1 &")
    await wait_until_gone(duration)


async def test_a_daemon_does_not_keep_an_unprotected_call_waiting(make_calls: MakeCalls) -> None:
    duration = token()
    call = make_calls("none")
    assert await call.bash(f"setsid sleep {duration} & echo done") == "done\n\n[exit code 0]"
    for pid in running(duration):
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


async def test_cancel_ends_everything(any_call: SessionCalls) -> None:
    duration = token()
    begun = asyncio.Event()

    async def on_started(_: ProcessIdentity | None) -> None:
        begun.set()

    invocation = any_call.invocation(
        "bash", command=f"sleep {duration} & touch b; sleep {duration}"
    )
    task = asyncio.create_task(any_call.run(invocation, on_started))
    await begun.wait()
    await until((any_call.workspace / "b").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until_gone(duration)
    assert list((any_call.workspace.parent / ".private").glob("output-*")) == []


async def test_cancel_before_the_gate_leaves_nothing(any_call: SessionCalls) -> None:
    duration = token()
    invocation = any_call.invocation("bash", command=f"touch ran; sleep {duration}")
    for delay in (0.0, 0.001, 0.005, 0.01, 0.02):
        task = asyncio.create_task(any_call.run(invocation))
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.wait([task])
        await wait_until_gone(duration)


async def test_the_group_is_on_record_before_anything_runs(any_call: SessionCalls) -> None:
    seen: list[ProcessIdentity] = []

    async def on_started(identity: ProcessIdentity | None) -> None:
        assert identity is not None
        assert os.getpgid(identity.process_group) == identity.process_group
        assert read_started_ticks(identity.process_group) == identity.started_ticks
        leader = psutil.Process(identity.process_group)
        await until(lambda: leader.status() == psutil.STATUS_SLEEPING)
        assert {child.name() for child in leader.children(recursive=True)} <= {"sh"}
        assert not (any_call.workspace / "ran").exists()
        seen.append(identity)

    await any_call.run(any_call.invocation("bash", command="touch ran"), on_started)
    assert seen[0].host_id == HOST
    assert (any_call.workspace / "ran").exists()
    assert read_started_ticks(seen[0].process_group) is None


async def test_nothing_runs_when_it_can_not_be_put_on_record(any_call: SessionCalls) -> None:
    class ConnectionLostError(Exception):
        pass

    groups: list[int] = []

    async def on_started(identity: ProcessIdentity | None) -> None:
        assert identity is not None
        groups.append(identity.process_group)
        raise ConnectionLostError

    with pytest.raises(ConnectionLostError):
        await any_call.run(any_call.invocation("bash", command="touch ran"), on_started)
    assert not (any_call.workspace / "ran").exists()
    assert read_started_ticks(groups[0]) is None


async def test_another_attempt_ends_the_group_of_a_former_one(
    any_call: SessionCalls, make_calls: MakeCalls
) -> None:
    duration = token()
    recorded: asyncio.Future[ProcessIdentity | None] = asyncio.get_running_loop().create_future()

    async def on_started(identity: ProcessIdentity | None) -> None:
        recorded.set_result(identity)

    invocation = any_call.invocation("bash", command=f"touch b; sleep {duration}")
    former = asyncio.create_task(any_call.run(invocation, on_started))
    identity = await recorded
    assert identity is not None
    await until((any_call.workspace / "b").exists)
    another = make_calls().toolbox
    await another.end_process(replace(identity, host_id="elsewhere"))
    await another.end_process(replace(identity, started_ticks=identity.started_ticks + 1))
    assert running(duration)
    await another.end_process(identity)
    assert read_started_ticks(identity.process_group) is None
    assert (await former).is_error
    await another.end_process(identity)
    await wait_until_gone(duration)


async def test_a_hundred_megabytes_are_capped_and_kept(any_call: SessionCalls) -> None:
    outcome = await any_call("bash", command="yes 0123456789abcde | head -c 100000000; echo END")
    assert len(outcome.text) < 31_000
    assert outcome.text.startswith("0123456789abcde\n")
    assert "bytes left out here" in outcome.text
    assert f"{100_000_004 - 64 * MIB:,} more bytes were printed and discarded" in outcome.text
    assert outcome.text.endswith("[exit code 0]")
    whole = outcome.whole_output
    assert whole is not None
    assert whole.size_bytes == whole.path.stat().st_size == 64 * MIB
    with whole.path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == whole.sha256


async def test_long_output_shows_both_ends_and_is_whole_in_the_store(call: SessionCalls) -> None:
    outcome = await call("bash", command="seq 100000")
    assert outcome.text.startswith("1\n2\n3\n")
    assert "99999\n100000\n" in outcome.text
    assert outcome.whole_output is not None
    lines = outcome.whole_output.path.read_text().split()
    assert lines == [str(n) for n in range(1, 100_001)]


async def test_a_cut_never_splits_a_character(call: SessionCalls) -> None:
    outcome = await call("bash", command="for i in $(seq 30000); do printf 'äö€😀'; done")
    assert "\N{REPLACEMENT CHARACTER}" not in outcome.text.replace("äö€😀", "")[-200:]


async def test_binary_output_is_described(any_call: SessionCalls) -> None:
    outcome = await any_call("bash", command="head -c 300000 /dev/urandom")
    assert outcome.text == "(binary output of 300,000 bytes)\n[exit code 0]"
    assert outcome.whole_output is not None
    assert outcome.whole_output.media_type == "application/octet-stream"
    assert outcome.whole_output.size_bytes == 300_000


async def test_odd_bytes_become_text_that_can_be_stored(any_call: SessionCalls) -> None:
    outcome = await any_call(
        "bash", command=r"echo a long line of text; printf 'x\0y\xff\xed\xa0\x80z'"
    )
    assert "x\N{SYMBOL FOR NULL}y\N{REPLACEMENT CHARACTER}" in outcome.text
    assert "\0" not in outcome.text
    outcome.text.encode()


@pytest.mark.parametrize(
    ("command", "expected"),
    [("a\0b", "NUL"), ("echo \ud800", "surrogate"), ("echo " + "ä" * 100_000, "at most")],
)
async def test_commands_that_can_not_be_given(
    call: SessionCalls, command: str, expected: str
) -> None:
    assert expected in await call.refusal("bash", command=command)
    assert call.started == []


async def test_many_at_once(call: SessionCalls) -> None:
    texts = await asyncio.gather(*(call.bash(f"echo {i}") for i in range(20)))
    assert texts == [f"{i}\n\n[exit code 0]" for i in range(20)]


async def test_nothing_is_left_open_or_unreaped(any_call: SessionCalls) -> None:
    await any_call.bash("true")
    before = count_open()
    for _ in range(5):
        await any_call.bash("true")
    await any_call("bash", command="sleep 60", timeout_seconds=1)
    # What the rest of this process has open for a moment goes; what is left over would stay.
    await until(lambda: count_open() - before == Counter())
    await until(lambda: list_unreaped() == [])
