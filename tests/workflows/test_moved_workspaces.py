"""Workspaces move: the host of an execution fails, and another one continues with its files."""

import asyncio
import os
import random
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from sqlalchemy import select

from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from domain.executions.steps import ToolCallStatus
from domain.workspaces.snapshots import directory_name
from persistence.tables.sessions import SessionRow
from persistence.tables.workspaces import WorkspaceSnapshotRow
from runtime.host import read_host_id
from tests.engine.driver import UNTIL_RELEASED, Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, worker_process
from tests.waiting import WITHIN_SECONDS, eventually

LIMIT_SECONDS = 15.0
"""From the end of a host until a tool has run on another one (the bar of this feature)."""

DRAIN_SECONDS = 10.0
"""Longer than a worker has for the rest of its end (`worker.STOP_SECONDS`)."""

BASH = ["bash"]


@dataclass
class Hosts:
    """Workers on hosts of their own: each has a home, and all have one store of files."""

    place: WorkerPlace
    scripted: ScriptedModelServer
    stack: AsyncExitStack
    running: dict[UUID, tuple[asyncio.subprocess.Process, Path]] = field(default_factory=dict)
    started: int = 0

    async def add(self, home: Path | None = None, *, drain_seconds: float = 2) -> UUID:
        """Start a worker, on a new host unless it has a home already."""
        self.started += 1
        if home is None:
            home = self.place.home / f"host-{self.started}"
            home.mkdir(mode=0o711)
            (home / "artifacts").symlink_to(self.place.home / "artifacts")
        (home / "ready").unlink(missing_ok=True)
        worker = worker_process(
            replace(self.place, home=home),
            self.scripted,
            log=self.place.home / f"log-{self.started}",
            more={"PERDURE_DRAIN_SECONDS": str(drain_seconds)},
        )
        process = await self.stack.enter_async_context(worker)
        host_id = read_host_id(home)
        assert host_id is not None
        self.running[host_id] = process, home
        await eventually(partial(is_idle, psutil.Process(process.pid)), what="an idle worker")
        return host_id

    async def kill(self, host_id: UUID) -> Path:
        """kill -9 of the worker, and its home is unreachable; returns what it was renamed to."""
        process, home = self.running.pop(host_id)
        process.kill()
        await process.wait()
        unreachable = home.with_name(f"{home.name}-unreachable")
        return home.rename(unreachable)


async def is_idle(process: psutil.Process) -> bool:
    """Whether a worker has loaded what it needs, which takes long on a busy machine."""
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(1)
    return sum(process.cpu_times()[:2]) - before < 0.05


@pytest.fixture
async def hosts(
    database_url: str,
    temporal_address: str,
    servers_directory: Path,
    scripted_model: ScriptedModelServer,
) -> AsyncIterator[Hosts]:
    home = servers_directory / f"hosts-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    (home / "artifacts").mkdir()
    place = await make_place(database_url, temporal_address, home)
    async with AsyncExitStack() as stack:
        yield Hosts(place, scripted_model, stack)
    shutil.rmtree(home)


async def find_session(run: Run) -> SessionRow:
    session_id = (await run.row()).session_id
    async with run.engine.database.reading() as session:
        return await session.get_one(SessionRow, session_id)


async def find_host(run: Run) -> UUID:
    host_id = (await find_session(run)).workspace_host_id
    assert host_id is not None
    return host_id


def lines(count: int, *, delay_ms: int) -> list[dict[str, object]]:
    """Turns that each append a line to a file and touch a second one."""
    command = "mkdir -p d/{n}; echo line-{n} >> d/log; ln -sf {n} d/latest"
    return [
        {
            "delay_ms": delay_ms,
            "tool_use": use("bash", command=command.format(n=number)),
        }
        for number in range(count)
    ]


@pytest.mark.long  # in one process: test_handover.py and tests/tools/test_snapshots.py
async def test_another_host_continues_with_the_files(
    hosts: Hosts, scripted_model: ScriptedModelServer
) -> None:
    for _ in range(2):
        await hosts.add()
    async with open_driver(hosts.place, scripted_model) as engine:
        gate = engine.gate()
        show = {"tool_use": use("bash", command="cat d/log; ls d"), "gate": gate.name}
        run = await engine.start(
            *lines(3, delay_ms=0), show, {"text": "{last_tool_result}"}, allowed_tools=BASH
        )
        await run.wait_until(lambda row: row.total_messages == 7)
        first = await find_host(run)
        unreachable = await hosts.kill(first)
        gate.open()
        assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        assert "line-0\nline-1\nline-2\n0\n1\n2\nlatest\nlog" in await run.text()
        session = await find_session(run)
        assert (session.workspace_host_id != first, session.workspace_epoch) == (True, 1)
        # The first host returns, and deletes its copy.
        home = unreachable.rename(unreachable.with_name("returned"))
        copy = home / "workspaces" / directory_name(session.id, 0)
        assert copy.exists()
        await hosts.add(home)
        await eventually(lambda: asyncio.to_thread(lambda: not copy.exists()))
        async with engine.database.reading() as reading:
            query = select(WorkspaceSnapshotRow).where(
                WorkspaceSnapshotRow.session_id == session.id
            )
            assert len((await reading.scalars(query)).all()) == 3


async def read_record(run: Run) -> tuple[object, ...]:
    """What the database says about an execution and its workspace."""
    calls = [(call.id, call.status, call.output) for call in await run.tool_calls()]
    session = await find_session(run)
    async with run.engine.database.reading() as reading:
        query = select(WorkspaceSnapshotRow.sha256).where(
            WorkspaceSnapshotRow.session_id == session.id
        )
        snapshots = (await reading.scalars(query.order_by(WorkspaceSnapshotRow.id))).all()
    host = session.workspace_host_id, session.workspace_epoch, session.workspace_bytes
    return calls, snapshots, host, await run.blocks(), await run.event_types()


async def test_a_stopping_host_drains_all_its_executions_at_once(
    hosts: Hosts, scripted_model: ScriptedModelServer
) -> None:
    """One is in its first segment, and one came back to this host after an answer."""
    for _ in range(2):
        await hosts.add(drain_seconds=DRAIN_SECONDS)
    async with open_driver(hosts.place, scripted_model) as engine:
        gate = engine.gate()
        write, last = (
            {"tool_use": use("bash", command="date > f")},
            {"gate": gate.name, "text": "."},
        )
        asks = {"tool_use": use("ask_user", question="Where?")}
        returned = await engine.start(write, asks, last, allowed_tools=[*BASH, "ask_user"])
        await returned.answer(await returned.wait_for_request(), message="Here.")
        await returned.wait_for_model_call()
        host = await find_host(returned)
        while True:
            first = await engine.start(write, last, allowed_tools=BASH)
            await first.wait_until(lambda row: row.total_turns == 1)
            await first.wait_for_model_call()
            if await find_host(first) == host:
                break
        process, _ = hosts.running[host]
        process.terminate()
        assert await asyncio.wait_for(process.wait(), WITHIN_SECONDS) == 0
        gate.open()
        for run in (returned, first):
            assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_frozen_host_that_returns_writes_nothing(
    hosts: Hosts, scripted_model: ScriptedModelServer
) -> None:
    """Its call ends while it is frozen, and the execution moves and ends before it returns."""
    for _ in range(2):
        await hosts.add()
    async with open_driver(hosts.place, scripted_model) as engine:
        run = await engine.start(
            {"tool_use": use("bash", command="echo saved > f")},
            {"tool_use": use("bash", command=f"echo lost > f; {UNTIL_RELEASED}; echo late > f")},
            {"tool_use": use("bash", command="cat f")},
            {"text": "{last_tool_result}"},
            allowed_tools=BASH,
        )
        await run.wait_until(lambda row: row.total_messages >= 3)
        await run.wait_for_tool_call()
        process, home = hosts.running[await find_host(run)]
        copy = home / "workspaces" / directory_name((await find_session(run)).id, 0)
        await eventually(lambda: asyncio.to_thread((copy / "f").exists))
        process.send_signal(signal.SIGSTOP)
        try:
            # Its open polls still take tasks, until each has timed out.
            await run.wait_for_end(within=300)
            before = await read_record(run)
            (copy / "released").touch()
            await eventually(
                lambda: asyncio.to_thread(lambda: (copy / "f").read_text() == "late\n")
            )
        finally:
            process.send_signal(signal.SIGCONT)
        assert (await run.text()).endswith("saved\n\n[exit code 0]")
        assert (await find_session(run)).workspace_epoch == 1
        await eventually(lambda: asyncio.to_thread(lambda: not copy.exists()))
        assert await read_record(run) == before


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_hosts_fail_twenty_times(hosts: Hosts, scripted_model: ScriptedModelServer) -> None:
    """Three executions write files all the time while their hosts are killed."""
    chance = random.Random(os.environ.get("SEED", "1"))  # noqa: S311 - repeatable on purpose
    for _ in range(2):
        await hosts.add()
    command = "mkdir -p d/$$; date +%s%N >> d/log; ln -sf $$ d/latest; tail -n 1 d/log"
    async with open_driver(hosts.place, scripted_model) as engine:
        runs = [
            await engine.start(
                {"delay_ms": 300, "tool_use": use("bash", command=command), "repeat": 5000},
                allowed_tools=BASH,
                sdk_options={"max_turns": 5000},
                title=f"writer {number}",
            )
            for number in range(3)
        ]
        waits = []
        for number in range(20):
            waits.append(await fail_once(hosts, runs, chance))
            print(f"failure {number + 1}: {waits[-1]:.1f} s until all wrote again")  # noqa: T201
        for run in runs:
            await run.cancel()
            await run.wait_for_end()
            await check_files(hosts, run)
        assert max(waits) < LIMIT_SECONDS


async def check_files(hosts: Hosts, run: Run) -> None:
    """The file has the lines of all completed commands in order, and few others."""
    session = await find_session(run)
    assert session.workspace_host_id is not None
    _, home = hosts.running[session.workspace_host_id]
    log = home / "workspaces" / directory_name(session.id, session.workspace_epoch) / "d/log"
    written = (await asyncio.to_thread(log.read_text)).split()
    completed = [
        re.findall(r"^\d{19}$", call.output or "", re.MULTILINE)[-1]  # after a note on a move
        for call in await run.tool_calls()
        if call.status == ToolCallStatus.SUCCEEDED
    ]
    print(f"{len(completed)} completed, {len(written)} lines, epoch {session.workspace_epoch}")  # noqa: T201
    assert [line for line in written if line in set(completed)] == completed
    assert len(written) - len(completed) <= 20


async def fail_once(hosts: Hosts, runs: Sequence[Run], chance: random.Random) -> float:
    """Kill the host of one execution; return how long the last of its executions waited."""
    for run in runs:
        await another_completes(run)
        await another_completes(run)
    await asyncio.sleep(chance.uniform(0, 0.6))
    failing = await find_host(runs[chance.randrange(len(runs))])
    affected = [run for run in runs if await find_host(run) == failing]
    await hosts.kill(failing)
    failed_at = time.monotonic()
    await asyncio.gather(*(another_completes(run) for run in affected))
    waited = time.monotonic() - failed_at
    await hosts.add()
    return waited


async def another_completes(run: Run) -> None:
    """Wait until the results of one more turn are recorded."""

    async def results() -> int:
        return ((await run.row()).total_messages - 1) // 2

    before = await results()

    async def has_completed() -> bool:
        return await results() > before

    await eventually(has_completed)
