"""The tree of an execution: every subtask with its state, and the totals, in one response."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import text

from persistence.executions.subtasks import LARGEST_TREE
from persistence.tables.executions import ExecutionRow
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient

COPY = text("""
INSERT INTO executions SELECT (jsonb_populate_record(e, jsonb_build_object(
    'id', uuidv7(), 'workflow_id', 'copy-' || n, 'parent_execution_id', e.id))).*
FROM executions e, generate_series(1, :number) n WHERE e.id = :id
""")


async def grow(world: World, client: Client) -> list[dict[str, Any]]:
    """A parent, two children and a grandchild, the first of them done."""
    task = await make_task(client)
    parent, child, other, grandchild = [await execute(client, task) for _ in range(4)]
    async with world.gateway.database.transaction() as session:
        for execution, above, status in (
            *((child, parent, "completed"), (other, parent, "running")),
            (grandchild, child, "completed"),
        ):
            row = await session.get_one(ExecutionRow, UUID(execution["id"]))
            row.parent_execution_id, row.status = UUID(above["id"]), status
            row.cost_usd, row.total_turns = Decimal("0.25"), 2
            row.agent_id = "tester" if execution is grandchild else None
    return [parent, child, grandchild, other]


async def test_the_tree_lists_each_execution_after_its_parent(world: World, client: Client) -> None:
    expected = await grow(world, client)
    tree = (await client.get(expected[0]["_links"]["tree"])).json()
    assert [node["id"] for node in tree["items"]] == [one["id"] for one in expected]
    assert [node["depth"] for node in tree["items"]] == [0, 1, 2, 1]
    assert tree["items"][2]["agent_id"] == "tester"
    assert tree["items"][2]["parent_execution_id"] == expected[1]["id"]
    assert tree["items"][2]["_links"] == {"self": expected[2]["_links"]["self"]}
    assert tree["totals"] == {
        "executions": 4,
        "by_status": {"pending": 1, "completed": 2, "running": 1},
        "depth": 2,
        "cost_usd": 0.75,
        "total_turns": 6,
    }
    assert not tree["is_truncated"]


async def test_a_tree_below_an_execution_leaves_out_its_parent(
    world: World, client: Client
) -> None:
    _, child, grandchild, _ = await grow(world, client)
    tree = (await client.get(child["_links"]["tree"])).json()
    assert [node["id"] for node in tree["items"]] == [child["id"], grandchild["id"]]
    assert [node["depth"] for node in tree["items"]] == [0, 1]


async def test_a_large_tree_is_cut(world: World, client: Client) -> None:
    root = await execute(client, await make_task(client))
    async with world.gateway.database.transaction() as session:
        await session.execute(COPY, {"id": UUID(root["id"]), "number": LARGEST_TREE})
    tree = (await client.get(root["_links"]["tree"])).json()
    assert tree["is_truncated"]
    assert len(tree["items"]) == tree["totals"]["executions"] == LARGEST_TREE
    assert tree["items"][0]["id"] == root["id"]


async def test_the_tree_is_the_owners(world: World, client: Client, other: Client) -> None:
    parent, *_ = await grow(world, client)
    refused = await other.get(parent["_links"]["tree"])
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
