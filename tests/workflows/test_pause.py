"""Executions that stand still for a while: nothing begins, nothing said is lost, time waits."""

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
from domain.ids import new_id
from domain.states import ExecutionStatus
from persistence.tables.signals import SignalRow
from tests.engine.driver import UNTIL_RELEASED, Engine, Run, script, use
from tests.engine.running import WorkerPlace, driving, make_place, worker_process, working

PAUSED = ExecutionStatus.PAUSED
ASK = {"tool_use": use("ask_user", question="?")}
TOLD = {"text": "{last_tool_result}"}


async def statuses(run: Run) -> list[str]:
    """What its story says of its status, in order."""
    events = await run.events()
    return [e.data["status"] for e in events if e.type == "execution.status_changed"]


async def test_the_call_in_hand_is_finished_and_no_tool_begins(engine: Engine) -> None:
    gate = engine.gate()
    run = await engine.start(
        {"tool_use": use("list_files"), "gate": gate.name}, TOLD, allowed_tools=["list_files"]
    )
    await run.calling()
    await run.pause()
    gate.open()
    await run.paused()
    [call] = await run.model_calls()
    [tool] = await run.tool_calls()
    assert (call.status, tool.status) == ("succeeded", "ready")
    await run.pause()  # a repeat changes nothing
    await run.resume()
    assert (await run.ended()).status == ExecutionStatus.COMPLETED
    assert await statuses(run) == ["paused", "running"]
    assert len(await run.model_calls()) == 2


async def test_the_tool_in_hand_is_finished_and_no_call_is_made(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("bash", command=f"{UNTIL_RELEASED}; echo once >> log; cat log")},
        TOLD,
        allowed_tools=["bash"],
    )
    await run.running_tool()
    await run.pause()
    await run.release()
    await run.paused()
    [tool] = await run.tool_calls()
    assert tool.status == "succeeded"
    assert [call.status for call in await run.model_calls()] == ["succeeded"]
    await run.resume()
    await run.ended()
    assert (await run.text()).startswith("once\n\n[exit code 0]")


async def test_one_that_has_not_begun_is_paused_before_its_first_call(engine: Engine) -> None:
    run = await engine.start({"text": "x"}, dispatch=False)
    await run.pause()
    assert (await run.row()).status == ExecutionStatus.PENDING
    await run.paused()  # the relay has started it
    assert not await run.model_calls()
    await run.resume()
    await run.ended()


async def test_one_that_waits_goes_back_to_waiting(engine: Engine) -> None:
    run = await engine.start(ASK, TOLD, allowed_tools=["ask_user"])
    request = await run.open_request()
    await run.pause()
    await run.paused()
    await run.resume()
    await run.reaches(ExecutionStatus.WAITING_FOR_USER)
    await run.answer(request, message="yes")
    assert (await run.ended()).status == ExecutionStatus.COMPLETED
    assert await statuses(run) == ["waiting_for_user", "paused", "waiting_for_user", "running"]


async def test_what_is_said_meanwhile_is_kept(engine: Engine) -> None:
    run = await engine.start(ASK, TOLD, allowed_tools=["ask_user"])
    request = await run.open_request()
    await run.pause()
    await run.paused()
    await run.say("and mind the gap")
    await run.answer(request, message="green")
    await run.when_heard()
    assert (await run.row()).status == PAUSED
    assert len(await run.model_calls()) == 1
    await run.resume()
    assert (await run.ended()).status == ExecutionStatus.COMPLETED
    assert await run.text() == "green"
    said = [b.get("text") for role, bs in await run.blocks() for b in bs if role == "user"]
    assert said.count("and mind the gap") == 1


async def test_a_subtask_ends_while_its_parent_stands_still(engine: Engine) -> None:
    gate = engine.gate()
    prompt = script({"text": "mine", "gate": gate.name})
    run = await engine.start(
        {"tool_use": use("delegate", title="part", prompt=prompt)},
        TOLD,
        allowed_tools=["delegate"],
    )
    await run.reaches(ExecutionStatus.WAITING_FOR_SUBTASK)
    await run.pause()
    await run.paused()
    gate.open()
    [part] = await run.children()
    await part.ended()
    await run.when_heard()
    assert (await run.row()).status == PAUSED
    await run.resume()
    await run.ended()
    assert await run.text() == "mine"


async def test_a_cancel_ends_one_that_stands_still(engine: Engine) -> None:
    run = await engine.start(ASK, TOLD, allowed_tools=["ask_user"])
    await run.open_request()
    await run.pause()
    await run.paused()
    await run.cancel("enough")
    row = await run.ended()
    assert (row.status, row.pause_requested_at) == (ExecutionStatus.CANCELLED, None)


async def test_time_stands_still_but_the_deadline_does_not(engine: Engine) -> None:
    run = await engine.start(
        ASK,
        TOLD,
        allowed_tools=["ask_user"],
        sdk_options={"timeout_seconds": 600},
        columns={"deadline_at": datetime.now(UTC) + timedelta(seconds=8)},
    )
    await run.open_request()
    await run.pause()
    before = (await run.paused()).running_ms
    row = await run.ended()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, "deadline_passed")
    assert row.running_ms - before < 4000  # of some seven seconds that it stood still


async def test_temporal_shows_it(engine: Engine) -> None:
    run = await engine.start(ASK, TOLD, allowed_tools=["ask_user"])
    await run.open_request()
    await run.pause()
    await run.paused()

    async def shown() -> bool:
        found = (await run.handle.describe()).search_attributes[names.STATUS]
        return list(found) == ["paused"]

    await run.until(shown)
    await run.cancel()
    await run.ended()


async def test_pausing_and_resuming_many_times_repeats_nothing(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("list_files"), "delay_ms": 50, "repeat": 6},
        TOLD,
        allowed_tools=["list_files"],
    )
    with suppress(ExecutionTerminalError):  # it may be done before all of them came
        for _ in range(4):
            await run.pause()
            await asyncio.sleep(0.02)
            await run.resume()
    row = await run.ended()
    assert (row.status, row.total_turns) == (ExecutionStatus.COMPLETED, 7)
    assert {call.status for call in await run.model_calls()} == {"succeeded"}


async def test_gateways_whose_clocks_differ_don_t_turn_a_wish_round(engine: Engine) -> None:
    """The pause came first, from a gateway whose clock is ahead of that of the resume's."""
    gate = engine.gate()
    run = await engine.start(
        {"tool_use": use("list_files"), "gate": gate.name}, TOLD, allowed_tools=["list_files"]
    )
    await run.calling()
    await run.pause()
    await run.resume()
    async with engine.database.transaction() as session:
        ahead = update(SignalRow).where(SignalRow.kind == "pause").values(id=new_id())
        await session.execute(ahead.where(SignalRow.execution_id == run.id))
    gate.open()
    assert (await run.ended()).status == ExecutionStatus.COMPLETED
    assert await statuses(run) == []


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    home = servers_directory / f"pause-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


async def test_a_killed_worker_leaves_it_as_it_was_wished(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    """Killed while one stands still, and between another's wish and its effect."""
    async with driving(place, scripted_model) as engine:
        gate = engine.gate()
        async with worker_process(place, scripted_model, log=place.home / "log") as process:
            still = await engine.start(ASK, TOLD, allowed_tools=["ask_user"])
            request = await still.open_request()
            await still.pause()
            await still.paused()
            slow = await engine.start(
                {"tool_use": use("list_files"), "gate": gate.name},
                {"text": "done"},
                allowed_tools=["list_files"],
            )
            await slow.calling()
            await slow.pause()
            process.kill()
            await process.wait()
        await still.answer(request, message="while nobody was there")
        gate.open()
        async with working(place, scripted_model):
            await slow.paused()
            assert [call.status for call in await slow.model_calls()] == ["lost"]
            await still.when_heard()
            assert (await still.row()).status == PAUSED
            for run in (still, slow):
                await run.resume()
                assert (await run.ended()).status == ExecutionStatus.COMPLETED
            assert await still.text() == "while nobody was there"
            calls = [call.status for call in await slow.model_calls()]
            assert calls == ["lost", "succeeded", "succeeded"]
