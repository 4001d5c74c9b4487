"""Content stays in Postgres: a planted word is nowhere in Temporal and in no worker's log."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowHandle

from claude.scripted import ScriptedModelServer
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Engine, Run, script, use
from tests.engine.running import WorkerPlace, make_place, open_driver, worker_process
from tests.waiting import eventually

CANARY = "yellow-canary-7f3a"
ECHO = {"tool_use": use("bash", command=f"echo {CANARY}; echo {CANARY} > file; exit 3")}
BAD_FILE = {"tool_use": use("read_file", path=f"{CANARY}/none")}
BAD_TOOL = {"tool_use": use(f"tool_{CANARY}", secret=CANARY)}
BAD_INPUT = {"tool_use": use("bash", wrong=CANARY)}
QUESTION = {"tool_use": use("ask_user", question=f"{CANARY}?", options=[CANARY, "no"])}
REFUSAL = {"text": f"No {CANARY}.", "stop_reason": f"because {CANARY}"}
OVERLOADED = {"status": 529, "type": "overloaded_error", "message": CANARY, "retry_after_ms": 1}
TOOLS = ["bash", "read_file", "ask_user", "delegate"]
TRIP_WIRE = "what the database refuses"


@pytest.fixture
async def place(database_url: str, temporal_address: str, servers_directory: Path) -> WorkerPlace:
    home = servers_directory / f"secret-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(database_url, temporal_address, home)


async def test_a_planted_word_is_nowhere_but_in_postgres(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> None:
    log = place.home / "log"
    async with (
        open_driver(place, scripted_model) as engine,
        worker_process(place, scripted_model, log=log) as process,
    ):
        for make in (
            every_tool(engine),
            fail_with_secret(engine),
            refused_by_postgres(engine, log),
        ):
            run = await make
            assert CANARY in ((await run.row()).rendered_prompt or "")
            for child in [run, *await run.children()]:
                assert CANARY not in await read_history(child)
        process.terminate()
        await process.wait()
    written = log.read_text()
    assert '"activity.failed"' in written
    for line in written.splitlines():
        assert CANARY not in line
        json.loads(line)


async def every_tool(engine: Engine) -> Run:
    """The word in all that a model, a tool, a person and a subtask say."""
    child = use("delegate", title=CANARY, prompt=script({"text": CANARY}))
    run = await engine.start(
        {"text": CANARY, **ECHO},
        {"text": CANARY, "error": {**OVERLOADED, "times": 2}, **BAD_FILE},
        BAD_TOOL,
        BAD_INPUT,
        QUESTION,
        {"tool_use": child},
        {"text": "{last_tool_result}"},
        allowed_tools=TOOLS,
        system_prompt=f"Mind the {CANARY}.",
    )
    request = await run.wait_for_request()
    beats = await run.handle.describe()
    assert CANARY not in str(beats.raw_description)
    await run.answer(request, message=CANARY)
    row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, CANARY)
    return run


async def fail_with_secret(engine: Engine) -> Run:
    """The word in what an execution fails of."""
    run = await engine.run_to_end({"text": "x", **ECHO}, REFUSAL, allowed_tools=TOOLS)
    row = await run.row()
    assert row.status == ExecutionStatus.FAILED
    assert CANARY in (row.error_message or "")
    return run


async def refused_by_postgres(engine: Engine, log: Path) -> Run:
    """The word in a row that the database refuses, until it does not."""
    trip = f"position('{TRIP_WIRE}' in content) = 0 OR role = 'user'"
    await execute(engine, f"ALTER TABLE messages ADD CONSTRAINT trip CHECK ({trip})")
    run = await engine.start({"text": f"{CANARY} {TRIP_WIRE}"})

    async def logged() -> bool:
        return b"activity.failed" in await asyncio.to_thread(log.read_bytes)

    await eventually(logged)
    await execute(engine, "ALTER TABLE messages DROP CONSTRAINT trip")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    return run


async def execute(engine: Engine, statement: str) -> None:
    async with engine.database.transaction() as session:
        await session.execute(text(statement))


async def read_history(run: Run) -> str:
    """All that Temporal keeps of an execution."""
    handle: WorkflowHandle[object, object] = run.handle
    description = await handle.describe()
    details = await handle.query("__temporal_workflow_metadata")
    return f"{await run.history()} {description.raw_description} {details}"
