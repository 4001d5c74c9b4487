"""Messages that interrupt an execution whose worker is killed: each applies once."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker, worker_process
from tests.waiting import eventually

STOP = "Stop. Only look at the tests."
BASH = ["bash"]
HANGS_ONCE = {"tool_use": use("bash", command="[ -e again ] || { touch again; sleep 600; }")}
LOOKS = use("bash", command="echo looked")
ECHO = {"text": "{last_tool_result}"}


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    """A place of the test's own: no other worker may take over."""
    home = servers_directory / f"interrupt-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


async def wait_for_command(run: Run) -> None:
    await run.wait_for_tool_call()
    begun = await run.workspace() / "again"
    await eventually(partial(asyncio.to_thread, begun.exists), what="the command")


async def requests_of(run: Run, scripted: ScriptedModelServer) -> list[bytes]:
    title = (await run.row()).title.encode()
    return [body for body in scripted.requests if title in body]


async def test_an_interruption_before_the_worker_is_killed_applies_once(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine:
        gate = engine.gate()
        gated = {"text": "A long answer.", "gate": gate.name}
        looks = {"tool_use": LOOKS, "gate": gate.name}
        async with worker_process(place, scripted_model, log=place.home / "log") as process:
            calling = await engine.start(gated, title="the unread call")
            running = await engine.start(
                HANGS_ONCE,
                {"tool_use": LOOKS},
                ECHO,
                allowed_tools=BASH,
                title="the unread command",
            )
            read = await engine.start(
                HANGS_ONCE, looks, ECHO, allowed_tools=BASH, title="the read message"
            )
            await calling.wait_for_model_call()
            await wait_for_command(running)
            await wait_for_command(read)
            await read.say(STOP, interrupt=True)
            await read.wait_for_model_call()
            process.send_signal(signal.SIGSTOP)
            for run in (calling, running):
                await run.say(STOP, interrupt=True)
            process.kill()
            await process.wait()
        gate.open()
        runs = (calling, running, read)
        async with run_worker(place, scripted_model):
            for run in runs:
                assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        for run in runs:
            assert str(await run.blocks()).count(STOP) == 1
            assert (await run.model_calls())[-1].status == "succeeded"
            assert STOP.encode() in (await requests_of(run, scripted_model))[-1]
        for run in (running, read):
            stopped, looked = await run.tool_calls()
            assert (stopped.is_error, looked.status) == (True, "succeeded")
            assert "may have run in part" in (stopped.output or "")
        assert len(await requests_of(calling, scripted_model)) == 2


@pytest.mark.long  # the test above also kills a worker, tests/agent checks open requests
async def test_an_approval_stays_open_and_its_call_is_not_interrupted(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine:
        async with worker_process(place, scripted_model, log=place.home / "log") as process:
            run = await engine.start({"tool_use": LOOKS}, ECHO, ask_tools=BASH)
            request = await run.wait_for_request()
            process.send_signal(signal.SIGSTOP)
            await run.say(STOP, interrupt=True)
            process.kill()
            await process.wait()
        async with run_worker(place, scripted_model):
            await run.wait_for_signals_read()
            waiting = await run.wait_for_request()
            assert waiting.id == request.id
            await run.answer(waiting, decision="approve")
            assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        [call] = await run.tool_calls()
        assert call.status == "succeeded"
        assert "looked" in await run.text()
        assert str(await run.blocks()).count(STOP) == 1
