"""Claude writes a plan: valid steps become a draft, invalid ones are returned to Claude."""

import json
from typing import Any
from uuid import UUID

import pytest

from domain.errors import FencedOutError
from domain.executions.states import ExecutionStatus
from domain.plans.generation import MOST_CORRECTIONS
from persistence.executions import lifecycle, queries
from persistence.executions.fencing import RunIdentity
from persistence.executions.lifecycle import Ended
from persistence.tables.plans import PlanGenerationRow
from services.caller import Caller
from services.plans import generation
from tests.engine.driver import Run, script
from tests.workflows.system import System

GENERATE = "/api/v1/plans/generate"

FETCH: dict[str, Any] = {
    "key": "fetch",
    "title": "Fetch",
    "prompt": "Fetch.",
    "agent_id": None,
    "depends_on": [],
}
WRITE = {
    "key": "write",
    "title": "Write",
    "prompt": "Sum up {{ steps.fetch.result }}.",
    "agent_id": "documenter",
    "depends_on": ["fetch"],
}


def answer(*steps: dict[str, Any]) -> dict[str, Any]:
    """A turn in which the model writes these steps."""
    return {"text": json.dumps({"title": "Weekly summary", "steps": steps})}


async def generate(system: System, *turns: dict[str, Any], **fields: Any) -> Run:
    """The ended execution in which a plan was to be written."""
    goal = f"Know what happened.\n\n{script(*turns)}"
    response = await system.client.post(GENERATE, json={"goal": goal, **fields})
    assert response.status_code == 202, response.text
    run = system.engine.run(UUID(response.json()["id"]))
    await run.wait_for_end()
    return run


async def read_plan(system: System, run: Run) -> dict[str, Any]:
    result = (await run.row()).result_data or {}
    response = await system.client.get(f"/api/v1/plans/{result['plan_id']}")
    assert response.status_code == 200, response.text
    plan: dict[str, Any] = response.json()
    return plan


async def test_the_result_is_a_draft_to_approve(system: System) -> None:
    run = await generate(system, answer(FETCH, WRITE), budget_usd=3, max_parallel=2)
    plan = await read_plan(system, run)
    assert (plan["status"], plan["title"]) == ("draft", "Weekly summary")
    assert plan["goal"].startswith("Know what happened.")
    assert (plan["approval_required"], plan["budget_usd"], plan["max_parallel"]) == (True, 3, 2)
    assert plan["batches"] == [["fetch"], ["write"]]
    assert plan["steps"][1]["agent_id"] == "documenter"


async def newest_plan(system: System) -> str:
    """The id of the newest plan of the user."""
    listed = (await system.client.get("/api/v1/plans")).json()["items"]
    newest: str = listed[0]["id"]
    return newest


async def end_again(system: System, run: Run, *, is_open: bool) -> Ended:
    """Repeat the end; `is_open`: by an earlier attempt, as if no end had been written."""
    row = await run.row()
    identity = RunIdentity(
        workflow_id=row.workflow_id,
        run_id=row.run_id or "",
        segment=row.segment,
        attempt=row.attempt - is_open,
        last_message_seq=0,
        is_reset=False,
    )
    async with system.engine.services.transaction(Caller.engine()) as work:
        if is_open:
            stored = await queries.lock_existing(work.session, run.id)
            lifecycle.reopen(work.session, stored, 0, keep_outcome=True)
            wanted = await work.session.get_one(PlanGenerationRow, run.id)
            wanted.plan_id = None
            await work.session.flush()
        completed = ExecutionStatus.COMPLETED
        return await generation.finish(work, run.id, identity, status=completed, error_code=None)


async def test_a_repeated_end_makes_no_other_plan(system: System) -> None:
    run = await generate(system, answer(FETCH))
    plan, row = await read_plan(system, run), await run.row()
    end = await end_again(system, run, is_open=False)
    assert end.status == ExecutionStatus.COMPLETED
    assert await newest_plan(system) == plan["id"]
    assert (await run.row()).result_data == row.result_data


async def test_an_end_that_is_rolled_back_leaves_no_plan(system: System) -> None:
    run = await generate(system, answer(FETCH))
    plan = await read_plan(system, run)
    with pytest.raises(FencedOutError):
        await end_again(system, run, is_open=True)
    assert await newest_plan(system) == plan["id"]


async def test_the_agents_are_offered_with_their_capabilities(system: System) -> None:
    run = await generate(system, answer(FETCH), agents=["documenter", "tester"])
    prompt = (await run.blocks())[0][1][0]["text"]
    assert "- tester: " in prompt
    assert "Capabilities: " in prompt
    assert "- researcher: " not in prompt
    assert "at most 20 steps" in prompt


async def test_invalid_steps_are_returned_to_the_model(system: System) -> None:
    cycle = {**FETCH, "depends_on": ["write"]}
    unknown = {**WRITE, "agent_id": "poet", "depends_on": ["fetch", "fetsch"]}
    run = await generate(system, answer(cycle, WRITE), answer(FETCH, unknown), answer(FETCH, WRITE))
    asked = [blocks[0]["text"] for role, blocks in await run.blocks() if role == "user"][1:]
    assert "depend on each other: " in asked[0]
    assert "- steps[1].agent_id: There is no agent 'poet'" in asked[1]
    assert (await read_plan(system, run))["batches"] == [["fetch"], ["write"]]


async def test_steps_that_stay_invalid_fail_the_execution(system: System) -> None:
    turn = {**answer({**FETCH, "depends_on": ["gone"]}), "repeat": 9}
    run = await generate(system, turn)
    row = await run.row()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, "output_invalid")
    assert "steps[0].depends_on[0]: There is no step 'gone'" in (row.error_message or "")
    assert len(await run.model_calls()) == 1 + MOST_CORRECTIONS
    assert "plan_id" not in (row.result_data or {})


async def test_too_many_steps_are_refused(system: System) -> None:
    run = await generate(system, answer(FETCH, WRITE), answer(FETCH), max_steps=1)
    assert (await read_plan(system, run))["batches"] == [["fetch"]]


async def test_a_retry_writes_another_plan(system: System) -> None:
    first = await generate(system, answer(FETCH))
    response = await system.client.post(f"/api/v1/task-executions/{first.id}/retry")
    assert response.status_code == 202, response.text
    second = system.engine.run(UUID(response.json()["id"]))
    await second.wait_for_end()
    plans = [await read_plan(system, run) for run in (first, second)]
    assert plans[0]["id"] != plans[1]["id"]


async def test_an_unknown_agent_is_refused(system: System) -> None:
    response = await system.client.post(GENERATE, json={"goal": "x", "agents": ["poet"]})
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "agents", 0]
