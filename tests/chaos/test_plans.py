"""kill -9 of any part at random while plans run: each step runs once, after its prerequisites."""

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos.stack import PARTS, Stack
from tests.waiting import eventually

ENDED_SECONDS = 900.0
STEPS = 20
STATES = """
SELECT s.key, s.depends_on, s.execution_id, e.status, e.started_at, e.completed_at
FROM plan_steps s JOIN executions e ON e.id = s.execution_id WHERE s.plan_id = $1::uuid
"""
EXECUTIONS = """
SELECT trigger_metadata ->> 'step' AS key FROM executions
WHERE parent_execution_id = (SELECT execution_id FROM plans WHERE id = $1::uuid)
"""
STARTS = """
SELECT execution_id, count(*) AS starts FROM execution_events
WHERE type = 'execution.started' AND execution_id = ANY($1::uuid[]) GROUP BY execution_id
"""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the keys of the steps that the model refuses."""

    steps: list[dict[str, Any]]
    refused: frozenset[str]

    @property
    def expected(self) -> dict[str, str]:
        """How each step ends without any crash."""
        found: dict[str, str] = {}
        for step in self.steps:
            is_failed = step["key"] in self.refused or "failed" in {
                found[key] for key in step["depends_on"]
            }
            found[step["key"]] = "failed" if is_failed else "completed"
        return found


def make_plan(chance: random.Random, name: str, *, fails: bool) -> Planned:
    """Steps that depend on up to three earlier ones; with `fails`, the model refuses some."""
    refused = set()
    steps: list[dict[str, Any]] = []
    for number in range(STEPS):
        earlier = [step["key"] for step in steps]
        key = f"s{number}"
        turn: dict[str, Any] = {"text": f"{name} {key}", "delay_ms": chance.choice([0, 50, 400])}
        if fails and chance.random() < 0.1:
            refused.add(key)
            turn["stop_reason"] = "refusal"
        prompt = f"Step {key} of {name}.\n\n```script\n- {json.dumps(turn)}\n```"
        needed = chance.sample(earlier, min(len(earlier), chance.randint(0, 3)))
        steps.append({"key": key, "prompt": prompt, "depends_on": needed})
    return Planned(steps, frozenset(refused))


async def start_plan(stack: Stack, planned: Planned, name: str) -> str:
    body = {"title": name, "steps": planned.steps}
    plan_id = str((await stack.post("/plans", body, key=f"create-{name}"))["id"])
    await stack.post(f"/plans/{plan_id}/start", {}, key=f"start-{name}")
    return plan_id


async def wait_for_end(stack: Stack, plan_id: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        plan: dict[str, Any] = await stack.get(f"/plans/{plan_id}")
        return plan if plan["status"] in {"completed", "failed", "cancelled"} else None

    return await eventually(ended, within=ENDED_SECONDS, what=f"the end of plan {plan_id}")


async def check(stack: Stack, plan_id: str, planned: Planned) -> None:
    """The plan ended as without a crash, in order, and each step ran once."""
    plan = await wait_for_end(stack, plan_id)
    assert {step["key"]: step["status"] for step in plan["steps"]} == planned.expected
    is_whole = set(planned.expected.values()) == {"completed"}
    assert plan["status"] == ("completed" if is_whole else "failed"), plan["error_message"]
    states = {row["key"]: row for row in await stack.rows(STATES, plan_id)}
    for row in states.values():
        for key in json.loads(row["depends_on"]):
            if row["started_at"] is not None:
                assert states[key]["status"] == "completed"
                assert states[key]["completed_at"] <= row["started_at"], (key, row["key"])
    made = Counter(row["key"] for row in await stack.rows(EXECUTIONS, plan_id))
    assert made == dict.fromkeys(planned.expected, 1)
    ids = [row["execution_id"] for row in states.values()]
    assert all(row["starts"] == 1 for row in await stack.rows(STARTS, ids))


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seed", "plans", "kills"), [(1, 10, 8), (2, 10, 8), (3, 10, 8)])
async def test_plans_end_as_without_crashes(
    stack: Stack, seed: int, plans: int, kills: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    made = [
        (name, make_plan(chance, name, fails=chance.random() < 0.3))
        for name in (f"plan-{seed}-{number}" for number in range(plans))
    ]

    async def kill_parts() -> None:
        for _ in range(kills):
            # This sleep waits for no condition: the time of the next kill is random.
            await asyncio.sleep(chance.uniform(0.2, 3))
            await stack.kill(chance.choice(PARTS))

    async with asyncio.TaskGroup() as group:
        group.create_task(kill_parts())
        started = [group.create_task(start_plan(stack, planned, name)) for name, planned in made]
    for task, (_, planned) in zip(started, made, strict=True):
        await check(stack, task.result(), planned)
