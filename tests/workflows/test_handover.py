"""A worker shuts down, and the next one continues its executions."""

import asyncio
import math
import os
from functools import partial
from pathlib import Path

import pytest

import worker
from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from domain.workspaces.snapshots import directory_name
from tests.disks import SmallDisk
from tests.engine.driver import Engine, Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker
from tests.waiting import eventually


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    home = servers_directory / f"handover-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


async def test_current_steps_are_finished_and_handed_over(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine:
        async with run_worker(place, scripted_model, drain_seconds=60):
            runs = await busy(engine)
        # The worker has stopped: its current steps are recorded, and no further step was started.
        assert [call.status for call in await runs[0].model_calls()] == ["succeeded"]
        [call] = await runs[1].tool_calls()
        assert call.status == "succeeded"
        async with run_worker(place, scripted_model):
            for run in runs:
                assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        for run in runs:
            assert {call.status for call in await run.model_calls()} == {"succeeded"}


async def busy(engine: Engine) -> tuple[Run, Run]:
    calling = await engine.start(
        {"tool_use": use("bash", command="echo never twice"), "delay_ms": 3000},
        {"text": "done"},
        allowed_tools=["bash"],
    )
    running = await engine.start(
        {"tool_use": use("bash", command="sleep 3; echo once >> log")},
        {"tool_use": use("bash", command="cat log")},
        {"text": "{last_tool_result}"},
        allowed_tools=["bash"],
    )
    await asyncio.gather(calling.wait_for_model_call(), running.wait_for_tool_call())
    return calling, running


async def test_a_report_is_made_while_every_slot_is_taken(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with (
        open_driver(place, scripted_model) as engine,
        run_worker(place, scripted_model, max_concurrent_executions=1),
    ):
        gate = engine.gate()
        reporting = await engine.start(
            {"text": "done", "gate": gate.name}, generate_report=True, report_format="html"
        )
        await reporting.wait_for_model_call()
        long = await engine.start({"text": "x", "delay_ms": 600_000})
        gate.open()
        row = await reporting.wait_for_end()
        assert (row.report_error, row.report_id is None) == (None, False)
        await long.wait_for_model_call()
        await long.cancel()
        await long.wait_for_end()


async def test_a_step_that_takes_too_long_is_interrupted(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine:
        async with run_worker(place, scripted_model, drain_seconds=0.2):
            slow = await engine.start({"text": "x", "delay_ms": 600_000})
            endless = await engine.start(
                {"tool_use": use("bash", command="sleep 600")},
                {"text": "{last_tool_result}"},
                allowed_tools=["bash"],
            )
            await asyncio.gather(slow.wait_for_model_call(), endless.wait_for_tool_call())
        [cut] = await slow.model_calls()
        assert (cut.status, cut.usage_estimated) == ("cancelled", True)
        async with run_worker(place, scripted_model):
            await endless.wait_for_end()
            assert "Ended before it was done" in await endless.text()
            await slow.cancel()
            await slow.wait_for_end()


async def test_an_outcome_is_recorded_although_its_files_can_not_be_stored(
    place: WorkerPlace,
    scripted_model: ScriptedModelServer,
    small_disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker waits for its store until it drains, and then ends: here, only for that."""
    monkeypatch.setattr(worker, "STORE_PATIENCE_SECONDS", math.inf)
    url = f"file://{small_disk.path}/artifacts"
    async with open_driver(place, scripted_model) as engine:
        async with run_worker(place, scripted_model, artifacts_url=url, drain_seconds=1):
            small_disk.fill()
            run = await engine.start(
                {"tool_use": use("bash", command="seq 1000000; touch ended")},
                {"text": "{last_tool_result}"},
                allowed_tools=["bash"],
            )
            await run.wait_for_tool_call()
            ended = await run.workspace() / "ended"
            await eventually(partial(asyncio.to_thread, ended.exists), what="the command's end")
        [call] = await run.tool_calls()
        assert call.status == "succeeded"
        async with run_worker(place, scripted_model):
            await run.wait_for_end()
        assert "Not stored as an artifact: the whole output" in await run.text()


async def test_a_cancel_does_not_wait_for_a_full_store(
    place: WorkerPlace,
    scripted_model: ScriptedModelServer,
    small_disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "STORE_PATIENCE_SECONDS", math.inf)
    url = f"file://{small_disk.path}/artifacts"
    async with (
        open_driver(place, scripted_model) as engine,
        run_worker(place, scripted_model, artifacts_url=url),
    ):
        small_disk.fill()
        run = await engine.start(
            {"tool_use": use("bash", command="seq 1000000; touch ended")}, allowed_tools=["bash"]
        )
        await run.wait_for_tool_call()
        ended = await run.workspace() / "ended"
        await eventually(partial(asyncio.to_thread, ended.exists), what="the command's end")
        await run.cancel()
        assert (await run.wait_for_end()).status == ExecutionStatus.CANCELLED
        [call] = await run.tool_calls()
        assert call.status == "succeeded"


async def test_a_workspace_moves_if_its_host_has_stopped(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine:
        async with run_worker(place, scripted_model):
            run = await engine.start(
                {"tool_use": use("ask_user", question="?")},
                {"tool_use": use("bash", command="touch here")},
                {"text": "done"},
                allowed_tools=["ask_user", "bash"],
            )
            await run.wait_for_request()
        other = place.home / "other"
        async with run_worker(place, scripted_model, home=other):
            await run.answer(await run.wait_for_request(), message="continue")
            assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
        moved = directory_name((await run.row()).session_id or run.id, 1)
        assert (other / "workspaces" / moved / "here").exists()
