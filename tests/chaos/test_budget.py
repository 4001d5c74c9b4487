"""kill -9 of the worker while fifty subtasks spend one budget: it is never passed."""

import asyncio
import json
import random
from typing import Any

import pytest

from tests.chaos.stack import Stack
from tests.waiting import eventually

CAP = 0.4
MOST_SECONDS = 400.0

TREE = """
WITH RECURSIVE tree AS (
    SELECT id FROM executions WHERE id = $1::uuid
    UNION ALL
    SELECT e.id FROM executions e JOIN tree ON e.parent_execution_id = tree.id
)
"""


def fence(turns: list[dict[str, Any]]) -> str:
    return "\n".join(["```script", *(f"- {json.dumps(turn)}" for turn in turns), "```"])


def delegating(turns: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """A turn that starts so many subtasks with this script."""
    prompt = fence(turns)
    use = {"name": "delegate", "input": {"title": "part", "prompt": prompt}}
    return {"tool_use": [use] * count}


def prompt_of(seed: int) -> str:
    """Ten subtasks with four subtasks each; all call the model until the budget is spent."""
    usage = {"output_tokens": 450}
    listing = {"tool_use": {"name": "list_files", "input": {}}, "usage": usage, "delay_ms": 100}
    leaf: list[dict[str, Any]] = [{**listing, "repeat": 3}, {"text": "done"}]
    middle: list[dict[str, Any]] = [delegating(leaf, 4), {**listing, "repeat": 3}, {"text": "done"}]
    return f"Run {seed}.\n\n{fence([delegating(middle, 10), {'text': 'done'}])}\n"


async def start(stack: Stack, seed: int) -> str:
    task = {
        "name": f"tree-{seed}",
        "prompt_template": "{{prompt}}",
        "allowed_tools": ["delegate", "list_files"],
        "sdk_options": {"max_tokens": 500, "max_budget_usd": CAP},
        "human_input_policy": {"mode": "fail"},
    }
    task_id = (await stack.post("/tasks", task, key=f"tree-{seed}"))["id"]
    body = {"variables": {"prompt": prompt_of(seed)}}
    return str((await stack.post(f"/tasks/{task_id}/execute", body, key=f"run-{seed}"))["id"])


async def spend_and_kill(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    root = await start(stack, seed)
    for _ in range(2):
        # This sleep waits for no condition: the time of the next kill is random.
        await asyncio.sleep(chance.uniform(0.5, 6))
        await stack.kill("worker")

    async def all_ended() -> bool:
        return not await stack.rows(
            f"{TREE} SELECT FROM executions WHERE id IN (SELECT id FROM tree)"  # noqa: S608 - ours
            " AND status NOT IN ('completed', 'failed', 'cancelled')",
            root,
        )

    await eventually(all_ended, within=MOST_SECONDS, what="the end of the tree")
    await check_sums(stack, root)


async def check_sums(stack: Stack, root: str) -> None:
    """The calls of the tree cost what its account says, and at most the budget."""
    [sums] = await stack.rows(
        f"{TREE} SELECT sum(c.cost_usd) AS cost, count(*) FILTER (WHERE c.status = 'intended')"  # noqa: S608 - ours
        " AS open FROM model_calls c WHERE execution_id IN (SELECT id FROM tree)",
        root,
    )
    [account] = await stack.rows(
        "SELECT spent_usd, reserved_usd FROM budgets WHERE execution_id = $1::uuid", root
    )
    assert CAP / 2 < float(account["spent_usd"]) <= CAP
    assert (sums["open"], account["reserved_usd"]) == (0, 0)
    assert account["spent_usd"] == sums["cost"]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(20))
async def test_the_tree_keeps_to_its_budget(shared_stack: Stack, seed: int) -> None:
    await spend_and_kill(shared_stack, seed)
