"""kill -9 of a worker with many sandboxed commands in flight: no person is asked."""

import asyncio
import json
from typing import Any

import pytest

from tests.chaos import jobs
from tests.chaos.moments import sleeping
from tests.chaos.stack import Stack
from tests.waiting import eventually

EXECUTIONS, KILLS = 20, 3
WITHIN_SECONDS = 240.0
"""For 20 starts of a sandbox on a busy machine."""


def job(name: str) -> dict[str, Any]:
    """Work whose first commands each leave a line and never end by themselves."""
    hanging = [f"echo {step} >> {jobs.LOG}; sleep 71{step}" for step in range(1, KILLS + 1)]
    commands = [*hanging, f"echo {KILLS + 1} >> {jobs.LOG}"]
    turns: list[dict[str, Any]] = [
        {"tool_use": {"name": "bash", "input": {"command": command, "timeout_seconds": 600}}}
        for command in commands
    ]
    script = "\n".join(f"- {json.dumps(turn)}" for turn in [*turns, {"text": "done"}])
    prompt = f"Job {name}.\n\n```script\n{script}\n```\n"
    return {"title": name, "prompt": prompt, "allowed_tools": ["bash"]}


async def all_run(duration: str) -> None:
    """Return once the commands of all executions sleep for this time."""

    async def run() -> bool:
        return len(sleeping(duration)) == EXECUTIONS

    await eventually(run, within=WITHIN_SECONDS, what=f"{EXECUTIONS} commands")


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_interrupted_commands_are_reported_to_the_model(shared_stack: Stack) -> None:
    bodies = [job(f"interrupted-{number}") for number in range(EXECUTIONS)]
    started = await asyncio.gather(
        *(shared_stack.post("/task-executions", body, key=body["title"]) for body in bodies)
    )
    ids = [execution["id"] for execution in started]
    for step in range(1, KILLS + 1):
        await all_run(f"71{step}")
        await shared_stack.kill("worker")
    await wait_for_ends(shared_stack, ids)
    rows = await shared_stack.rows("SELECT * FROM executions WHERE id = ANY($1::uuid[])", ids)
    assert [row["status"] for row in rows] == ["completed"] * EXECUTIONS
    asked = "SELECT FROM input_requests WHERE execution_id = ANY($1::uuid[])"
    assert await shared_stack.rows(asked, ids) == []
    once = [str(step) for step in range(1, KILLS + 2)]
    for row in rows:
        assert jobs.log_of(shared_stack, row["session_id"]) == once
    calls = await shared_stack.rows(
        "SELECT * FROM tool_calls WHERE execution_id = ANY($1::uuid[]) ORDER BY turn", ids
    )
    reported = [call for call in calls if "may have run in part" in (call["output"] or "")]
    assert len(reported) == EXECUTIONS * KILLS
    assert {call["turn"] for call in reported} == set(range(1, KILLS + 1))


async def wait_for_ends(stack: Stack, ids: list[str]) -> None:
    """Return once all executions have ended."""

    async def have_ended() -> bool:
        return not await stack.rows(
            "SELECT FROM executions WHERE id = ANY($1::uuid[])"
            " AND status NOT IN ('completed', 'failed', 'cancelled')",
            ids,
        )

    await eventually(have_ended, within=WITHIN_SECONDS, what="the end of all executions")
