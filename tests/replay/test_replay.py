"""Replay histories of earlier versions with the current code of the execution workflow.

A failure here would break running executions. `pytest tests/replay --record-histories` records the
files again. Use it only for new behaviour and keep the old files: they represent running workflows.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from runtime.temporal import DATA_CONVERTER
from services.executions import starting
from services.executions.inputs import WorkBody
from services.external_work import claims
from services.external_work import reports as reports_of_workers
from services.external_work.inputs import ClaimBody, CompleteBody
from services.plans import plans
from services.plans import starting as starting_plans
from services.plans.inputs import PlanCreate
from tests.engine.driver import Engine, Run, script, use
from tests.engine.scheduling import Scheduled
from tests.waiting import eventually
from workflows.execution import TaskExecution
from workflows.plan import Plan

HISTORIES = Path(__file__).parent / "histories"
ROOT = Path(__file__).parents[2]

ASK = {"tool_use": use("ask_user", question="?")}
LIST = {"tool_use": use("list_files")}


async def completes(engine: Engine) -> Run:
    return await engine.run_to_completion(LIST, {"text": "done"}, allowed_tools=["list_files"])


async def waits_for_a_person(engine: Engine) -> Run:
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    await run.answer(await run.wait_for_request(), decision="approve", message="yes")
    await run.wait_for_end()
    return run


async def delegates(engine: Engine) -> Run:
    child = {"tool_use": use("delegate", title="part", prompt="Do it.")}
    return await engine.run_to_completion(child, {"text": "done"}, allowed_tools=["delegate"])


async def is_cancelled_while_waiting(engine: Engine) -> Run:
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    await run.wait_for_request()
    await run.cancel("enough")
    await run.wait_for_end()
    return run


async def fails(engine: Engine) -> Run:
    return await engine.run_to_failure(
        {"text": "no", "stop_reason": "refusal"}, code="model_refused"
    )


async def runs_in_segments(engine: Engine) -> Run:
    return await engine.run_to_completion(
        {**LIST, "repeat": 3},
        {"text": "done"},
        allowed_tools=["list_files"],
        sdk_options={"segment_turns": 1},
    )


async def waits_for_its_provider(engine: Engine) -> Run:
    overloaded = {"status": 529, "type": "overloaded_error", "retry_after": 5.1, "times": 1}
    return await engine.run_to_completion({"text": "done", "error": overloaded})


async def reports(engine: Engine) -> Run:
    return await engine.run_to_completion(
        {"text": "done"}, generate_report=True, report_format="html"
    )


async def is_paused(engine: Engine) -> Run:
    run = await engine.start(ASK, {"text": "done"}, allowed_tools=["ask_user"])
    request = await run.wait_for_request()
    await run.pause()
    await run.wait_for_pause()
    await run.answer(request, message="yes")
    await run.wait_for_signals_read()
    await run.resume()
    await run.wait_for_end()
    return run


async def runs_on_a_schedule(engine: Engine) -> Run:
    scheduled = await Scheduled.make(engine, {"text": "done"})
    await scheduled.handle.trigger()
    run = await scheduled.run()
    await run.wait_for_end()
    return run


async def skips_a_scheduled_run(engine: Engine) -> Run:
    scheduled = await Scheduled.make(engine, {"text": "done"})
    await scheduled.change(synchronise=False, is_active=False)
    await scheduled.handle.trigger()

    async def started() -> str | None:
        found = await scheduled.describe()
        assert found is not None
        actions = [result.action for result in found.info.recent_actions]
        return next((a.workflow_id for a in actions if hasattr(a, "workflow_id")), None)

    workflow_id = await eventually(started)
    run = Run(engine, scheduled.id, workflow_id)
    await run.handle.result()
    return run


async def is_done_by_a_worker(engine: Engine) -> Run:
    async with engine.transaction() as work:
        body = WorkBody(prompt="Write a poem.", executor="external")
        row = await starting.start_inline_work(work, body)
    run = engine.run(row.id)
    await run.wait_until(lambda row: row.session_id is not None)
    async with engine.transaction() as work:
        claim = await claims.claim(work, ClaimBody(execution_id=run.id))
        assert claim is not None
    async with engine.transaction() as work:
        report = CompleteBody(lease_token=claim.lease_token, summary="done")
        await reports_of_workers.complete(work, run.id, report)
    await run.wait_for_end()
    return run


async def start_plan(engine: Engine, *steps: dict[str, Any], **fields: Any) -> Run:
    """Store a plan and start it; the run of the plan."""
    async with engine.transaction() as work:
        body = PlanCreate.model_validate({"title": "p", "steps": steps, **fields})
        plan = await plans.create_plan(work, body)
    async with engine.transaction() as work:
        started = await starting_plans.start_plan(work, plan.id)
    assert started.run is not None
    return engine.run(started.run.id)


def step(key: str, *depends_on: str) -> dict[str, Any]:
    return {"key": key, "prompt": script({"text": "done"}), "depends_on": depends_on}


async def runs_a_plan(engine: Engine) -> Run:
    run = await start_plan(engine, step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))
    assert (await run.wait_for_end()).status == "completed"
    return run


async def runs_an_approved_plan(engine: Engine) -> Run:
    run = await start_plan(engine, step("a"), approval_required=True)
    await run.answer(await run.wait_for_request(), decision="approve")
    await run.wait_for_end()
    return run


async def cancels_a_plan(engine: Engine) -> Run:
    run = await start_plan(engine, step("a"), approval_required=True)
    await run.wait_for_request()
    await run.cancel("enough")
    await run.wait_for_end()
    return run


BEHAVIOURS: dict[str, Callable[[Engine], Awaitable[Run]]] = {
    behaviour.__name__: behaviour
    for behaviour in (
        completes,
        waits_for_a_person,
        delegates,
        is_cancelled_while_waiting,
        fails,
        runs_in_segments,
        waits_for_its_provider,
        reports,
        runs_on_a_schedule,
        skips_a_scheduled_run,
        is_paused,
        is_done_by_a_worker,
        runs_a_plan,
        runs_an_approved_plan,
        cancels_a_plan,
    )
}


CONTINUED = ("continues_as_new", "has_continued_as_new")
"""The first and the last run of one execution; both need a Temporal that suggests it early."""


def save(behaviour: str, history: str) -> None:
    """Save a history."""
    HISTORIES.mkdir(exist_ok=True)
    (HISTORIES / f"{behaviour}.json").write_text(anonymise(history) + "\n", encoding="utf-8")


def anonymise(history: str) -> str:
    """Remove the name of the machine and its paths from a history."""
    return re.sub(r'("identity": ")[^"]*"', r'\1worker"', history).replace(f"{ROOT}/", "")


async def replay(history: str, workflow_id: str) -> None:
    """Replay a history; raises if the code does not match it."""
    replayer = Replayer(
        workflows=[TaskExecution, Plan],
        workflow_runner=SandboxedWorkflowRunner(),
        data_converter=DATA_CONVERTER,
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(workflow_id, history))


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_saved_histories_replay(path: Path) -> None:
    history = await asyncio.to_thread(path.read_text, encoding="utf-8")
    await replay(history, f"execution-{path.stem}")


def test_every_behaviour_has_a_saved_history() -> None:
    saved = {path.stem for path in HISTORIES.glob("*.json")}
    assert {*BEHAVIOURS, *CONTINUED} <= saved


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_fresh_histories_replay(
    engine: Engine, behaviour: str, request: pytest.FixtureRequest
) -> None:
    run = await BEHAVIOURS[behaviour](engine)
    history = await run.history()

    await replay(history, f"execution-{run.id}")

    if request.config.getoption("--record-histories"):
        save(behaviour, history)


async def test_runs_of_a_continued_workflow_replay(
    short_lived_engine: Engine, request: pytest.FixtureRequest
) -> None:
    run = await runs_in_segments(short_lived_engine)
    query = f'WorkflowId = "execution-{run.id}"'
    found = [w async for w in short_lived_engine.client.list_workflows(query)]
    ordered = sorted(found, key=lambda workflow: workflow.start_time)
    assert len(ordered) > 1
    for behaviour, workflow in zip(CONTINUED, (ordered[0], ordered[-1]), strict=True):
        handle: WorkflowHandle[object, object] = short_lived_engine.client.get_workflow_handle(
            workflow.id, run_id=workflow.run_id
        )
        history = (await handle.fetch_history()).to_json()

        await replay(history, workflow.id)

        if request.config.getoption("--record-histories"):
            save(behaviour, history)


async def test_a_plan_that_continues_as_new_starts_each_step_once(
    short_lived_engine: Engine,
) -> None:
    chain = [step("s0"), *(step(f"s{n}", f"s{n - 1}") for n in range(1, 8))]
    run = await start_plan(short_lived_engine, *chain)
    assert (await run.wait_for_end()).status == "completed"
    query = f'WorkflowId = "execution-{run.id}"'
    found = [w async for w in short_lived_engine.client.list_workflows(query)]
    assert len(found) > 1
    for child in await run.children():
        assert (await child.event_types()).count("execution.started") == 1
