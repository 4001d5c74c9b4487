"""Paused executions: no step starts, no message is lost, and paused time is not counted."""

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from claude.scripted import ScriptedModelServer
from contracts import names
from domain.errors import ExecutionTerminalError
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.tables.executions import ExecutionRow, SignalRow
from tests.engine.driver import UNTIL_RELEASED, Engine, Run, script, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker, worker_process

PAUSED = ExecutionStatus.PAUSED
ASK = {"tool_use": use("ask_user", question="?")}
ECHO = {"text": "{last_tool_result}"}
HOUR = timedelta(hours=1)


async def statuses(run: Run) -> list[str]:
    """Return the statuses of its events, in order."""
    events = await run.events()
    return [e.data["status"] for e in events if e.type == "execution.status_changed"]


async def test_the_current_call_is_finished_and_no_tool_starts(engine: Engine) -> None:
    gate = engine.gate()
    run = await engine.start(
        {"tool_use": use("list_files"), "gate": gate.name}, ECHO, allowed_tools=["list_files"]
    )
    await run.wait_for_model_call()
    await run.pause()
    gate.open()
    await run.wait_for_pause()
    [call] = await run.model_calls()
    [tool] = await run.tool_calls()
    assert (call.status, tool.status) == ("succeeded", "ready")
    await run.pause()  # a repeat changes nothing
    await run.resume()
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await statuses(run) == ["paused", "running"]
    assert len(await run.model_calls()) == 2


async def test_the_current_tool_is_finished_and_no_call_starts(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("bash", command=f"{UNTIL_RELEASED}; echo once >> log; cat log")},
        ECHO,
        allowed_tools=["bash"],
    )
    await run.wait_for_tool_call()
    await run.pause()
    await run.release()
    await run.wait_for_pause()
    [tool] = await run.tool_calls()
    assert tool.status == "succeeded"
    assert [call.status for call in await run.model_calls()] == ["succeeded"]
    await run.resume()
    await run.wait_for_end()
    assert (await run.text()).startswith("once\n\n[exit code 0]")


async def test_a_pending_execution_pauses_before_its_first_call(engine: Engine) -> None:
    run = await engine.start({"text": "x"}, dispatch=False)
    await run.pause()
    assert (await run.row()).status == ExecutionStatus.PENDING
    await run.wait_for_pause()  # the relay has started it
    assert not await run.model_calls()
    await run.resume()
    await run.wait_for_end()


async def test_a_waiting_execution_waits_again_after_it_resumes(engine: Engine) -> None:
    run = await engine.start(ASK, ECHO, allowed_tools=["ask_user"])
    request = await run.wait_for_request()
    await run.pause()
    await run.wait_for_pause()
    await run.resume()
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_USER)
    await run.answer(request, message="yes")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await statuses(run) == ["waiting_for_user", "paused", "waiting_for_user", "running"]


async def test_messages_to_a_paused_execution_are_kept(engine: Engine) -> None:
    run = await engine.start(ASK, ECHO, allowed_tools=["ask_user"])
    request = await run.wait_for_request()
    await run.pause()
    await run.wait_for_pause()
    await run.say("and mind the gap")
    await run.answer(request, message="green")
    await run.wait_for_signals_read()
    assert (await run.row()).status == PAUSED
    assert len(await run.model_calls()) == 1
    await run.resume()
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await run.text() == "green"
    texts = [b.get("text") for role, bs in await run.blocks() for b in bs if role == "user"]
    assert texts.count("and mind the gap") == 1


async def test_a_subtask_ends_while_its_parent_is_paused(engine: Engine) -> None:
    gate = engine.gate()
    prompt = script({"text": "part", "gate": gate.name})
    run = await engine.start(
        {"tool_use": use("delegate", title="part", prompt=prompt)},
        ECHO,
        allowed_tools=["delegate"],
    )
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    await run.pause()
    await run.wait_for_pause()
    gate.open()
    [part] = await run.children()
    await part.wait_for_end()
    await run.wait_for_signals_read()
    assert (await run.row()).status == PAUSED
    await run.resume()
    await run.wait_for_end()
    assert await run.text() == "part"


async def test_a_paused_execution_is_cancelled(engine: Engine) -> None:
    run = await engine.start(ASK, ECHO, allowed_tools=["ask_user"])
    await run.wait_for_request()
    await run.pause()
    await run.wait_for_pause()
    await run.cancel("enough")
    row = await run.wait_for_end()
    assert (row.status, row.pause_requested_at) == (ExecutionStatus.CANCELLED, None)


async def test_paused_time_is_not_counted_but_the_deadline_passes(engine: Engine) -> None:
    run = await engine.start(
        ASK,
        ECHO,
        allowed_tools=["ask_user"],
        sdk_options={"timeout_seconds": 600},
        columns={"deadline_at": datetime.now(UTC) + HOUR},
    )
    await run.wait_for_request()
    await run.pause()
    before = (await run.wait_for_pause()).running_ms
    async with engine.database.transaction() as session:
        row = await session.get_one(ExecutionRow, run.id, with_for_update=True)
        assert row.started_at is not None
        row.started_at -= HOUR
    await run.set_deadline_to_now()
    await run.skip_time(2 * HOUR)
    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, "deadline_passed")
    assert timedelta(milliseconds=row.running_ms - before) < HOUR / 2


async def test_temporal_shows_the_pause(engine: Engine) -> None:
    run = await engine.start(ASK, ECHO, allowed_tools=["ask_user"])
    await run.wait_for_request()
    await run.pause()
    await run.wait_for_pause()

    async def shown() -> bool:
        found = (await run.handle.describe()).search_attributes[names.STATUS]
        return list(found) == ["paused"]

    await run.until(shown)
    await run.cancel()
    await run.wait_for_end()


async def test_pausing_and_resuming_many_times_repeats_nothing(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("list_files"), "delay_ms": 50, "repeat": 6},
        ECHO,
        allowed_tools=["list_files"],
    )
    with suppress(ExecutionTerminalError):  # it may have completed before all of them
        for _ in range(4):
            await run.pause()
            await asyncio.sleep(0.02)
            await run.resume()
    row = await run.wait_for_end()
    assert (row.status, row.total_turns) == (ExecutionStatus.COMPLETED, 7)
    assert {call.status for call in await run.model_calls()} == {"succeeded"}


async def test_clocks_of_gateways_do_not_reorder_requests(engine: Engine) -> None:
    """The pause came first, from a gateway whose clock is ahead of the other one."""
    gate = engine.gate()
    run = await engine.start(
        {"tool_use": use("list_files"), "gate": gate.name}, ECHO, allowed_tools=["list_files"]
    )
    await run.wait_for_model_call()
    await run.pause()
    await run.resume()
    async with engine.database.transaction() as session:
        ahead = update(SignalRow).where(SignalRow.kind == "pause").values(id=new_id())
        await session.execute(ahead.where(SignalRow.execution_id == run.id))
    gate.open()
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await statuses(run) == []


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    home = servers_directory / f"pause-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


@pytest.mark.long  # test_crash.py kills a worker, and the tests above pause
async def test_a_killed_worker_loses_no_pause(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    """Killed while one execution is paused, and before the pause of another one takes effect."""
    async with open_driver(place, scripted_model) as engine:
        gate = engine.gate()
        async with worker_process(place, scripted_model, log=place.home / "log") as process:
            paused = await engine.start(ASK, ECHO, allowed_tools=["ask_user"])
            request = await paused.wait_for_request()
            await paused.pause()
            await paused.wait_for_pause()
            slow = await engine.start(
                {"tool_use": use("list_files"), "gate": gate.name},
                {"text": "done"},
                allowed_tools=["list_files"],
            )
            await slow.wait_for_model_call()
            await slow.pause()
            process.kill()
            await process.wait()
        await paused.answer(request, message="while no worker ran")
        gate.open()
        async with run_worker(place, scripted_model):
            await slow.wait_for_pause()
            assert [call.status for call in await slow.model_calls()] == ["lost"]
            await paused.wait_for_signals_read()
            assert (await paused.row()).status == PAUSED
            for run in (paused, slow):
                await run.resume()
                assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
            assert await paused.text() == "while no worker ran"
            calls = [call.status for call in await slow.model_calls()]
            assert calls == ["lost", "succeeded", "succeeded"]
