"""Plans from the request to the end: order, results, failures, approvals, changes, retries."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from temporalio.common import SearchAttributeKey

from contracts import names
from domain.executions.states import ExecutionStatus
from tests.engine.driver import Run, script
from tests.waiting import eventually
from tests.workflows.system import System

PLANS = "/api/v1/plans"
OK = script({"text": "fine"})
REFUSED = script({"text": "no", "stop_reason": "refusal"})


def step(key: str, *depends_on: str, prompt: str = OK, **fields: Any) -> dict[str, Any]:
    return {"key": key, "prompt": prompt, "depends_on": list(depends_on), **fields}


@dataclass(frozen=True, slots=True)
class PlanRun:
    """A plan of the test, as its API shows it."""

    system: System
    path: str

    async def read(self) -> dict[str, Any]:
        plan: dict[str, Any] = (await self.system.client.get(self.path)).json()
        return plan

    async def post(self, action: str, status: int = 202) -> dict[str, Any]:
        response = await self.system.client.post(f"{self.path}/{action}")
        assert response.status_code == status, response.text
        body: dict[str, Any] = response.json()
        return body

    async def patch(self, status: int = 200, **changes: Any) -> dict[str, Any]:
        response = await self.system.client.patch(self.path, json=changes)
        assert response.status_code == status, response.text
        body: dict[str, Any] = response.json()
        return body

    async def wait_for(self, status: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            plan = await self.read()
            return plan if plan["status"] == status else None

        return await eventually(reached, what=f"the plan to be {status}")

    async def root(self) -> Run:
        return self.system.engine.run(UUID((await self.read())["execution_id"]))

    async def step(self, key: str) -> Run:
        (found,) = [s for s in (await self.read())["steps"] if s["key"] == key]
        return self.system.engine.run(UUID(found["execution_id"]))


async def create(system: System, *steps: dict[str, Any], **fields: Any) -> PlanRun:
    body = {"title": "A plan", "steps": list(steps), **fields}
    response = await system.client.post(PLANS, json=body)
    assert response.status_code == 201, response.text
    return PlanRun(system, response.json()["_links"]["self"])


async def start(system: System, *steps: dict[str, Any], **fields: Any) -> PlanRun:
    plan = await create(system, *steps, **fields)
    await plan.post("start")
    return plan


def statuses(plan: dict[str, Any]) -> dict[str, str | None]:
    return {step["key"]: step["status"] for step in plan["steps"]}


async def test_steps_run_in_the_order_of_their_dependencies(system: System) -> None:
    plan = await start(system, step("c", "a", "b"), step("a"), step("b", "a"))
    done = await plan.wait_for("completed")
    assert statuses(done) == dict.fromkeys("cab", "completed")
    assert (done["progress"]["percent"], done["error_code"]) == (100, None)
    times = {s["key"]: (s["started_at"], s["completed_at"]) for s in done["steps"]}
    assert times["a"][1] <= times["b"][0]
    assert times["b"][1] <= times["c"][0]
    events = await (await plan.root()).events()
    reported = [(e.type, e.data.get("step")) for e in events]
    assert (reported[0][0], reported[-1][0]) == ("execution.created", "execution.completed")
    assert [(t.removeprefix("subtask."), s) for t, s in reported if s is not None] == [
        (change, key) for key in "abc" for change in ("started", "completed")
    ]


async def test_a_step_gets_the_results_of_those_before_it(system: System) -> None:
    prompt = "Sum up {{ steps.a.result }} and {{ other }}."
    plan = await start(system, step("a"), step("b", "a"), step("c", "b", prompt=prompt))
    await plan.wait_for("completed")
    row = await (await plan.step("c")).row()
    assert row.rendered_prompt == "Sum up fine and {{ other }}."
    assert row.missing_variables == ["other"]
    assert row.warnings == []


async def test_a_worker_gets_the_results_too(system: System) -> None:
    prompt = "Check {{steps.a.result}}."
    plan = await start(system, step("a"), step("b", "a", prompt=prompt, executor="external"))
    await (await plan.step("a")).wait_for_end()
    run = await plan.step("b")
    await run.wait_until(lambda row: row.status == ExecutionStatus.PENDING)
    claim = await system.client.post("/api/v1/queue/claim", json={"execution_id": str(run.id)})
    assert claim.json()["prompt"] == "Check fine."
    body = {"lease_token": claim.json()["lease_token"], "summary": "checked"}
    done = await system.client.post(f"/api/v1/queue/{run.id}/complete", json=body)
    assert done.status_code == 200, done.text
    await plan.wait_for("completed")


async def test_a_failed_step_fails_what_depends_on_it_and_nothing_else(system: System) -> None:
    plan = await start(
        system, step("a", prompt=REFUSED), step("b", "a"), step("c", "b"), step("d"), step("e", "d")
    )
    failed = await plan.wait_for("failed")
    assert statuses(failed) == {
        **dict.fromkeys("abc", "failed"),
        **dict.fromkeys("de", "completed"),
    }
    codes = {s["key"]: s["error_code"] for s in failed["steps"]}
    assert (codes["a"], codes["c"]) == ("model_refused", "prerequisite_failed")
    assert failed["error_code"] == "step_failed"
    assert failed["error_message"].startswith("Step 'a' failed (model_refused);")


async def test_a_retried_step_runs_what_failed_because_of_it(system: System) -> None:
    plan = await start(system, step("a", prompt=REFUSED), step("b", "a"), step("c"))
    before = await plan.wait_for("failed")
    refused = await plan.post("steps/b/retry", 409)
    assert "retry that step" in refused["detail"]
    await plan.patch(steps=[step("a"), step("b", "a"), step("c")])
    await plan.post("steps/a/retry")
    done = await plan.wait_for("completed")
    first, again = ({s["key"]: s["execution_id"] for s in p["steps"]} for p in (before, done))
    assert first["c"] == again["c"]
    row = await (await plan.step("a")).row()
    assert (str(row.retry_of_id), row.trigger_type) == (first["a"], "plan")
    root = await (await plan.root()).row()
    assert str(root.retry_of_id) == before["execution_id"]


async def test_a_step_is_retried_while_the_plan_runs(system: System) -> None:
    gate = system.engine.gate()
    slow = script({"text": "slow", "gate": gate.name})
    plan = await start(system, step("a", prompt=REFUSED), step("b", "a"), step("c", prompt=slow))
    root = (await plan.read())["execution_id"]
    await (await plan.step("b")).wait_for_end()
    await plan.patch(steps=[step("a"), step("b", "a"), step("c", prompt=slow)])
    await plan.post("retry")
    await (await plan.step("b")).wait_for_end()
    gate.open()
    assert (await plan.wait_for("completed"))["execution_id"] == root


async def test_steps_that_have_not_begun_can_change(system: System) -> None:
    gate = system.engine.gate()
    slow = step("a", prompt=script({"text": "slow", "gate": gate.name}))
    plan = await start(system, slow, step("b", "a"), step("c", "b"), step("d", "a"))
    await (await plan.step("a")).wait_until(lambda row: row.started_at)
    before = {s["key"]: s["execution_id"] for s in (await plan.read())["steps"]}
    refused = await plan.patch(422, steps=[{**slow, "prompt": "Other."}])
    assert refused["errors"][0]["loc"] == ["body", "steps", 0, "prompt"]
    changed = step("b", "a", title="Other")
    await plan.patch(steps=[slow, changed, step("c", "b"), step("new", "c"), step("d", "a")])
    after = {s["key"]: s["execution_id"] for s in (await plan.read())["steps"]}
    kept = {key for key in before if before[key] == after[key]}
    assert kept == {"a", "d"}
    for key in "bc":
        row = await system.engine.run(UUID(before[key])).row()
        assert row.status == ExecutionStatus.CANCELLED
    gate.open()
    assert statuses(await plan.wait_for("completed")) == dict.fromkeys(after, "completed")


async def approval_of(plan: PlanRun) -> dict[str, Any]:
    root = (await plan.read())["execution_id"]
    params = {"execution_id": root, "status": "open"}
    found = await plan.system.client.get("/api/v1/input-requests", params=params)
    (request,) = found.json()["items"]
    assert request["kind"] == "plan_approval"
    read: dict[str, Any] = request
    return read


async def decide(plan: PlanRun, status: int = 200, **answer: Any) -> dict[str, Any]:
    path = f"/api/v1/input-requests/{(await approval_of(plan))['id']}/answer"
    response = await plan.system.client.post(path, json=answer)
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_nothing_starts_before_the_approval(system: System) -> None:
    plan = await start(system, step("a"), step("b", "a"), approval_required=True)
    waiting = await plan.wait_for("waiting_for_user")
    assert statuses(waiting) == {"a": None, "b": None}
    request = await approval_of(plan)
    await plan.patch(steps=[step("a", title="Other")])
    assert (await approval_of(plan))["id"] != request["id"]
    old = f"/api/v1/input-requests/{request['id']}/answer"
    late = await system.client.post(old, json={"decision": "approve"})
    assert late.status_code == 409
    await decide(plan, decision="approve")
    assert statuses(await plan.wait_for("completed")) == {"a": "completed"}


async def test_a_person_changes_the_steps_in_the_approval(system: System) -> None:
    plan = await start(system, step("a"), approval_required=True)
    invalid = {"steps": [step("a", "b")]}
    refused = await decide(plan, 422, decision="edit", input=invalid)
    assert refused["errors"][0]["loc"] == ["body", "steps", 0, "depends_on", 0]
    await decide(plan, decision="edit", input={"steps": [step("a"), step("z", "a")]})
    assert set(statuses(await plan.wait_for("completed"))) == {"a", "z"}


async def test_a_refused_plan_fails_and_can_start_again(system: System) -> None:
    plan = await start(system, step("a"), approval_required=True)
    await decide(plan, decision="deny")
    failed = await plan.wait_for("failed")
    assert (failed["error_code"], statuses(failed)) == ("input_denied", {"a": None})
    await plan.post("retry", 409)
    await plan.post("start")
    await decide(plan, decision="approve")
    await plan.wait_for("completed")


async def test_changed_steps_of_an_approved_plan_need_an_approval(system: System) -> None:
    gate = system.engine.gate()
    slow = step("a", prompt=script({"text": "slow", "gate": gate.name}))
    plan = await start(system, slow, step("b", "a"), approval_required=True)
    await decide(plan, decision="approve")
    await plan.wait_for("running")
    await (await plan.step("a")).wait_until(lambda row: row.started_at)
    await plan.patch(steps=[slow, step("b", "a", title="Other")])
    await plan.wait_for("waiting_for_user")
    gate.open()
    await (await plan.step("a")).wait_for_end()
    assert statuses(await plan.read()) == {"a": "completed", "b": None}
    await decide(plan, decision="approve")
    await plan.wait_for("completed")


async def test_a_cancel_ends_the_plan_and_its_steps(system: System) -> None:
    gate = system.engine.gate()
    slow = step("a", prompt=script({"text": "slow", "gate": gate.name}))
    plan = await start(system, slow, step("b", "a"))
    await (await plan.step("a")).wait_until(lambda row: row.started_at)
    await plan.post("cancel")
    await plan.wait_for("cancelled")
    await (await plan.step("a")).wait_for_end()
    assert statuses(await plan.read()) == dict.fromkeys("ab", "cancelled")
    assert (await plan.post("cancel", 409))["code"] == "execution_terminal"
    gate.open()


async def test_at_most_so_many_steps_run_at_a_time(system: System) -> None:
    gate = system.engine.gate()
    prompt = script({"text": "slow", "gate": gate.name})
    steps = [step(key, prompt=prompt) for key in "abcd"]
    plan = await start(system, *steps, max_parallel=2)

    async def both_run() -> bool:
        return (await plan.read())["progress"]["active"] >= 2 and [
            s["key"] for s in (await plan.read())["steps"] if s["started_at"]
        ] == ["a", "b"]

    await eventually(both_run, what="two steps to run")
    gate.open()
    done = await plan.wait_for("completed")
    ends = sorted(s["completed_at"] for s in done["steps"])
    for index, one in enumerate(sorted(s["started_at"] for s in done["steps"])):
        assert index < 2 or ends[index - 2] <= one


async def test_a_paused_plan_starts_no_step(system: System) -> None:
    gate = system.engine.gate()
    slow = step("a", prompt=script({"text": "slow", "gate": gate.name}))
    plan = await start(system, slow, step("b", "a"))
    await (await plan.step("a")).wait_until(lambda row: row.started_at)
    path = f"/api/v1/task-executions/{(await plan.read())['execution_id']}"
    await system.client.post(f"{path}/pause")
    await plan.wait_for("paused")
    gate.open()
    await (await plan.step("b")).wait_until(lambda row: row.status == ExecutionStatus.PENDING)
    await system.client.post(f"{path}/resume")
    await plan.wait_for("completed")


async def test_the_steps_share_the_budget_of_the_plan(system: System) -> None:
    plan = await start(system, step("a", budget_usd=5), step("b", "a"), budget_usd=1)
    done = await plan.wait_for("completed")
    assert (await (await plan.step("a")).row()).budget_usd == 1
    assert 0 < done["cost_usd"] == pytest.approx(sum(s["cost_usd"] for s in done["steps"]))
    assert await read_cost(plan) == pytest.approx(done["cost_usd"])


async def read_cost(plan: PlanRun) -> float | None:
    """The cost that Temporal shows for an ended plan."""
    root = await plan.root()
    await root.wait_for_end()
    shown = (await root.handle.describe()).typed_search_attributes
    return shown.get(SearchAttributeKey.for_float(names.COST_USD))


async def test_a_plan_cancelled_in_temporal_shows_its_cost(system: System) -> None:
    plan = await start(system, step("a"), step("b", "a", executor="external"))
    await (await plan.step("b")).wait_until(lambda row: row.status == ExecutionStatus.PENDING)
    await (await plan.root()).handle.cancel()
    cancelled = await plan.wait_for("cancelled")
    assert cancelled["cost_usd"] > 0
    assert await read_cost(plan) == pytest.approx(cancelled["cost_usd"])


async def test_executions_of_a_plan_are_retried_and_steered_through_it(system: System) -> None:
    plan = await start(system, step("a", prompt=REFUSED))
    failed = await plan.wait_for("failed")
    for execution_id in (failed["execution_id"], failed["steps"][0]["execution_id"]):
        path = f"/api/v1/task-executions/{execution_id}/retry"
        refused = await system.client.post(path)
        assert (refused.status_code, "retry that plan" in refused.text) == (409, True)
    message = f"/api/v1/task-executions/{failed['execution_id']}/messages"
    assert (await system.client.post(message, json={"content": "?"})).status_code == 409


async def test_history_holds_no_content(system: System) -> None:
    plan = await start(system, step("a", title="Canary title"), goal="Canary goal", title="Canary")
    await plan.wait_for("completed")
    root = await plan.root()
    handle = system.engine.client.get_workflow_handle((await root.row()).workflow_id)
    history = json.dumps((await handle.fetch_history()).to_json_dict())
    assert "Canary" not in history
    assert "advance_plan" not in history or history.count('"eventId"') <= 30
