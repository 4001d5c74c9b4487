"""Plans when something happens at the same time, or an operator resets their workflow."""

import asyncio
from uuid import UUID

from sqlalchemy import text

from domain.executions.states import ExecutionStatus
from persistence.db import locks
from tests.engine.driver import script
from tests.waiting import eventually
from tests.workflows.system import System
from tests.workflows.test_plans import OK, REFUSED, decide, start, statuses, step
from tests.workflows.test_resets import reset

WAITING = text(
    "SELECT count(*) > 0 FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def test_an_approval_waits_for_the_end_of_a_step(system: System) -> None:
    """Else a step that is created meanwhile would wait forever for one that has ended."""
    gate = system.engine.gate()
    slow = step("a", prompt=script({"text": "slow", "gate": gate.name}))
    plan = await start(system, slow, step("b", "a"), approval_required=True)
    await decide(plan, decision="approve")
    await plan.wait_for("running")
    running = await plan.step("a")
    await running.wait_until(lambda row: row.started_at)
    await plan.patch(steps=[slow, step("b", "a", title="Other")])
    await plan.wait_for("waiting_for_user")

    async def is_waiting() -> bool:
        async with system.engine.database.reading() as session:
            return bool(await session.scalar(WAITING))

    async with system.engine.database.transaction() as session:
        await locks.lock_for_end(session, running.id, ExecutionStatus.COMPLETED)
        approval = asyncio.create_task(decide(plan, decision="approve"))
        await eventually(is_waiting, what="the approval to wait for the lock")
        assert not approval.done()
    await approval
    gate.open()
    assert statuses(await plan.wait_for("completed")) == dict.fromkeys("ab", "completed")


async def test_a_reset_of_a_plan_runs_no_step_again(system: System) -> None:
    plan = await start(system, step("a"), step("b", "a"))
    before = await plan.wait_for("completed")
    root = await plan.root()
    await root.wait_for_end()
    await reset(root, 0)
    await root.wait_for_end()
    after = await plan.wait_for("completed")
    assert after["steps"] == before["steps"]
    assert after["cost_usd"] == before["cost_usd"]
    types = await root.event_types()
    assert types.count("subtask.completed") == 2
    assert types[-1] == "execution.completed"


async def test_a_reset_continues_a_plan_that_runs(system: System) -> None:
    gate = system.engine.gate()
    slow = step("a", prompt=script({"text": "slow", "gate": gate.name}))
    plan = await start(system, slow, step("b", "a"), step("c", prompt=REFUSED))
    running = await plan.step("a")
    await running.wait_until(lambda row: row.started_at)
    await (await plan.step("c")).wait_for_end()
    await reset(await plan.root(), 0)
    gate.open()
    ended = await plan.wait_for("failed")
    assert statuses(ended) == {"a": "completed", "b": "completed", "c": "failed"}
    assert UUID(ended["steps"][0]["execution_id"]) == running.id
    assert len(await running.model_calls()) == 1


async def test_links_are_what_can_be_done(system: System) -> None:
    plan = await start(system, step("a", prompt=REFUSED), step("b", "a"), step("c"))
    failed = await plan.wait_for("failed")
    assert {"start", "cancel", "retry"} & failed["_links"].keys() == {"retry"}
    assert [s["key"] for s in failed["steps"] if "retry" in s["_links"]] == ["a"]
    await plan.patch(steps=[step("a", prompt=OK), step("b", "a"), step("c")])
    await plan.post("retry")
    done = await plan.wait_for("completed")
    assert not {"start", "cancel", "retry"} & done["_links"].keys()
    assert not any("retry" in s["_links"] for s in done["steps"])
