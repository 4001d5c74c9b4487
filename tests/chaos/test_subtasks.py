"""kill -9 of any part while a tree of `delegate_many` calls runs: each result arrives once."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from tests.chaos.stack import PARTS, Stack
from tests.chaos.test_budget import TREE, fence
from tests.waiting import eventually

MIDDLES, LEAVES = 5, 3
KILLS = 5
MOST_SECONDS = 500.0


def delegate_many(parts: Sequence[tuple[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """A turn that starts a subtask with each of these titles and scripts."""
    subtasks = [{"title": title, "prompt": f"{title}\n\n{fence(turns)}"} for title, turns in parts]
    return {"tool_use": {"name": "delegate_many", "input": {"subtasks": subtasks}}}


def leaf(title: str, number: int) -> list[dict[str, Any]]:
    """Two turns; the last subtask of each call fails."""
    listing = {"tool_use": {"name": "list_files", "input": {}}, "delay_ms": 200}
    end = {"text": f"result of {title}", "delay_ms": 200}
    return [listing, {**end, "stop_reason": "refusal"} if number == LEAVES - 1 else end]


def tree_of(seed: int) -> list[dict[str, Any]]:
    """A script that starts subtasks with subtasks of their own."""
    middles = []
    for number in range(MIDDLES):
        name = f"{seed}-{number}"
        leaves = [(f"leaf {name}-{n}", leaf(f"leaf {name}-{n}", n)) for n in range(LEAVES)]
        turns = [delegate_many(leaves), {"text": f"result of middle {name}"}]
        middles.append((f"middle {name}", turns))
    return [delegate_many(middles), {"text": "done"}]


async def read_tree(stack: Stack, root: str) -> list[asyncpg.Record]:
    return await stack.rows(
        f"{TREE} SELECT e.* FROM executions e JOIN tree USING (id) ORDER BY e.id",  # noqa: S608 - ours
        root,
    )


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_result_reaches_the_parent_once(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    body = {
        "prompt": f"Tree {seed}.\n\n{fence(tree_of(seed))}",
        "allowed_tools": ["delegate_many", "list_files"],
    }
    root = str((await stack.post("/task-executions", body, key=f"tree-{seed}"))["id"])
    for _ in range(KILLS):
        # This sleep waits for no condition: the time of the next kill is random.
        await asyncio.sleep(chance.uniform(0.2, 3))
        await stack.kill(chance.choice(PARTS))

    async def all_ended() -> bool:
        ended = {"completed", "failed", "cancelled"}
        return all(row["status"] in ended for row in await read_tree(stack, root))

    await eventually(all_ended, within=MOST_SECONDS, what="the end of the tree")
    rows = await read_tree(stack, root)
    titles = Counter(row["title"] for row in rows)
    assert max(titles.values()) == 1
    assert len(rows) == 1 + MIDDLES + MIDDLES * LEAVES
    for row in rows:
        children = [one for one in rows if one["parent_execution_id"] == row["id"]]
        if children:
            await check_results(stack, row, children)


async def check_results(
    stack: Stack, parent: asyncpg.Record, children: Sequence[asyncpg.Record]
) -> None:
    """The one call has the outcome of each subtask, and the transcript has it once."""
    [call] = await stack.rows("SELECT * FROM tool_calls WHERE execution_id = $1", parent["id"])
    assert list(call["child_execution_ids"]) == [child["id"] for child in children]
    listed = json.loads(call["output"])["subtasks"]
    for result, child in zip(listed, children, strict=True):
        assert (result["title"], result["status"]) == (child["title"], child["status"])
        if child["status"] == "completed":
            assert result["result"] == f"result of {child['title']}"
        else:
            assert "model_refused" in result["error"]
    messages = await stack.rows(
        "SELECT content FROM messages WHERE execution_id = $1 AND role = 'user' ORDER BY seq",
        parent["id"],
    )
    blocks = [block for message in messages for block in json.loads(message["content"])]
    results = [block["content"] for block in blocks if block["type"] == "tool_result"]
    assert results == [call["output"]]
    events = await stack.rows(
        "SELECT type, data FROM execution_events WHERE execution_id = $1 AND type LIKE 'subtask.%'",
        parent["id"],
    )
    reported = Counter(
        (event["type"], json.loads(event["data"])["execution_id"]) for event in events
    )
    kinds = ("subtask.started", "subtask.completed")
    assert reported == Counter((kind, str(child["id"])) for kind in kinds for child in children)
