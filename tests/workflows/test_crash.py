"""A worker is killed in the middle, and the next one continues: no step is lost or repeated."""

import asyncio
import os
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from agent.loop import MAX_STALLED_ATTEMPTS
from claude.scripted import ScriptedModelServer
from contracts import policies
from domain.errors import ErrorCode, InvalidInputError
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Engine, Gate, Run, use
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker, worker_process
from tests.waiting import eventually

REFUSE = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'this answer can not be kept'; END $$"""
REFUSE_ANSWERS = """CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW
WHEN (NEW.role = 'assistant') EXECUTE FUNCTION refuse()"""
REFUSE_ENDS = """CREATE TRIGGER refuse BEFORE UPDATE ON executions FOR EACH ROW
WHEN (NEW.status = 'completed') EXECUTE FUNCTION refuse()"""
ECHO = {"text": "{last_tool_result}"}
BASH = ["bash"]
ASKING: dict[str, Any] = {
    "allowed_tools": BASH,
    "human_input_policy": {"on_unknown_effect": "ask"},
}


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    """A place of the test's own: no other worker may take over."""
    home = servers_directory / f"crash-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


async def test_the_work_of_a_killed_worker_continues(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine:
        async with worker_process(place, scripted_model, log=place.home / "log") as process:
            gate = engine.gate()
            runs = await start_runs(engine, gate)
            process.kill()
            await process.wait()
        gate.open()
        async with run_worker(place, scripted_model):
            await asyncio.gather(
                check_report(runs["reported"]),
                confirm(runs["happened"]),
                decide_to_run_again(runs["not happened"]),
                check_repeated_call(runs["model"], scripted_model),
                continues_waiting(runs["waiting"]),
            )


async def test_a_repeated_segment_does_not_wait_for_the_queue_of_the_dead_worker(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with (
        open_driver(place, scripted_model) as engine,
        worker_process(place, scripted_model, log=place.home / "log") as process,
    ):
        gate = engine.gate()
        run = await engine.start({"text": "late", "gate": gate.name})
        await run.wait_for_model_call()
        async with run_worker(place, scripted_model):
            process.kill()
            await process.wait()
            gate.open()
            assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
            await run.handle.result()
        assert "TASK_QUEUE_KIND_STICKY" not in await run.history()


async def start_runs(engine: Engine, gate: Gate) -> dict[str, Run]:
    """Executions in the middle of a command, of a model call, and of a wait."""
    once = "echo ran >> log; [ -e again ] || { touch again; sleep 600; }; cat log"
    command = {"tool_use": use("bash", command=once)}
    question = {"tool_use": use("ask_user", question="?")}
    runs = {
        "reported": await engine.start(command, ECHO, allowed_tools=BASH),
        "happened": await engine.start(command, ECHO, **ASKING),
        "not happened": await engine.start(command, ECHO, **ASKING),
        "model": await engine.start(
            {"tool_use": use("list_files")},
            {"text": "late", "gate": gate.name},
            allowed_tools=["list_files"],
            title="a slow one",
        ),
        "waiting": await engine.start(question, ECHO, allowed_tools=["ask_user"]),
    }
    for name in ("reported", "happened", "not happened"):
        await runs[name].wait_for_tool_call()
        begun = await runs[name].workspace() / "again"
        await eventually(partial(asyncio.to_thread, begun.exists))
    await runs["model"].wait_until(lambda row: row.total_turns == 1)
    await runs["model"].wait_for_model_call()
    await runs["waiting"].wait_for_request()
    return runs


async def check_report(run: Run) -> None:
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert "may have run in part" in await run.text()
    assert (await run.workspace() / "log").read_text() == "ran\n"
    assert await run.requests() == []


async def confirm(run: Run) -> None:
    request = await run.wait_for_request()
    assert request.kind == "effect_check"
    [call] = await run.tool_calls()
    for misread in ("approve", "deny"):
        with pytest.raises(InvalidInputError):
            await run.answer(request, decision=misread)
    await run.answer(request, decision="happened", message="It ran, I looked.")
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert await run.text() == "It ran, I looked."
    assert (await run.workspace() / "log").read_text() == "ran\n"
    assert call.process_group is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(call.process_group, 0)


async def decide_to_run_again(run: Run) -> None:
    await run.answer(await run.wait_for_request(), decision="not_happened")
    await run.wait_for_end()
    assert "ran\nran" in await run.text()


async def check_repeated_call(run: Run, scripted: ScriptedModelServer) -> None:
    row = await run.wait_for_end()
    assert (row.status, row.total_turns) == (ExecutionStatus.COMPLETED, 2)
    first, lost, repeated = await run.model_calls()
    assert [call.status for call in (first, lost, repeated)] == ["succeeded", "lost", "succeeded"]
    assert lost.request_sha256 == repeated.request_sha256
    assert (lost.usage_estimated, lost.cost_usd) == (True, lost.estimate_usd)
    assert len(await run.tool_calls()) == 1
    bodies = [body for body in scripted.requests if b"a slow one" in body]
    assert len(bodies) == 3
    assert bodies[1] == bodies[2]


async def continues_waiting(run: Run) -> None:
    await run.answer(await run.wait_for_request(), message="still here")
    await run.wait_for_end()
    assert await run.text() == "still here"


async def test_attempts_that_come_no_step_further_are_given_up(
    place: WorkerPlace, scripted_model: ScriptedModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = [policies.STALLED_RETRY * 2**n for n in range(MAX_STALLED_ATTEMPTS - 1)]
    assert sum(delays, timedelta()) > timedelta(seconds=10), "a restart of Postgres takes as long"
    monkeypatch.setattr(policies, "STALLED_RETRY", timedelta(seconds=0.25))
    async with open_driver(place, scripted_model) as engine, run_worker(place, scripted_model):
        async with engine.database.transaction() as session:
            for statement in (REFUSE, REFUSE_ANSWERS):
                await session.execute(text(statement))
        run = await engine.start({"text": "x"})
        row = await run.wait_for_end()
        calls = await run.model_calls()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.WORKER_ERROR)
    assert row.error_message == "5 attempts made no progress; see the worker's log."
    assert [call.status for call in calls] == ["lost"] * 5
    assert calls[4].started_at - calls[3].started_at >= timedelta(seconds=1)


async def test_an_end_that_can_not_be_written_is_repeated_alone(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    async with open_driver(place, scripted_model) as engine, run_worker(place, scripted_model):
        async with engine.database.transaction() as session:
            for statement in (REFUSE, REFUSE_ENDS):
                await session.execute(text(statement))
        run = await engine.start({"text": "x"})

        async def segment_ended() -> bool:
            return "ACTIVITY_TASK_COMPLETED" in await run.history()

        await run.until(segment_ended)
        assert (await run.row()).status == ExecutionStatus.RUNNING
        async with engine.database.transaction() as session:
            await session.execute(text("DROP TRIGGER refuse ON executions"))
        row = await run.wait_for_end()
    assert (row.status, row.stalled_attempts) == (ExecutionStatus.COMPLETED, 0)
