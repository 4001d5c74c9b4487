from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select

from agent_library.built_in import load_built_in_agents
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import AuditRow
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient


async def dry_run(client: Client, task: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = await client.post(task["_links"]["dry_run"], json=body)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


async def complete(world: World, execution: dict[str, Any], **columns: Any) -> None:
    now = datetime.now(UTC)
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.status, row.started_at, row.completed_at = "completed", now - timedelta(seconds=30), now
        for column, value in columns.items():
            setattr(row, column, value)


async def test_it_shows_the_rendered_prompts(client: Client) -> None:
    task = await make_task(client, system_prompt="Be kind.", agent_id="reviewer")
    result = await dry_run(client, task)
    assert result["rendered_prompt"] == "Say hello to {{ name }} in French."
    assert result["missing_variables"] == ["name"]
    assert (
        result["system_prompt"] == f"{load_built_in_agents()['reviewer'].system_prompt}\n\nBe kind."
    )
    assert (result["model"], result["model_is_priced"]) == ("claude-opus-5-5", True)
    assert result["budget_usd"] == 0.25
    assert result["task_version"] == 1
    result = await dry_run(client, task, variables={"name": "Ada"}, max_budget_usd=1)
    assert result["rendered_prompt"] == "Say hello to Ada in French."
    assert (result["missing_variables"], result["budget_usd"]) == ([], 1)


async def test_it_shows_the_tools_with_their_rules(client: Client) -> None:
    task = await make_task(
        client, allowed_tools=["read_file", "bash(git *)", "mcp__x__y"], ask_tools=["write_file"]
    )
    result = await dry_run(client, task)
    assert {tool["tool"]: tool["rule"] for tool in result["tools"]} == {
        "bash": "by_pattern",
        "read_file": "allowed",
        "write_file": "ask",
    }
    assert result["tools"][0]["allowed"] == ["bash(git *)"]
    assert any("mcp__x__y" in warning for warning in result["warnings"])


@pytest.mark.parametrize(
    ("definition", "body", "where"),
    [
        ({}, {"strict_variables": True}, ["variables", "name"]),
        (
            {"variables_schema": {"properties": {"name": {"type": "string"}}}},
            {"variables": {"name": 5}},
            ["variables", "name"],
        ),
        ({"sdk_options": {"model": "who-knows"}}, {"max_budget_usd": 1}, ["max_budget_usd"]),
    ],
)
async def test_it_is_refused_where_execute_would_be(
    client: Client, definition: dict[str, Any], body: dict[str, Any], where: list[str]
) -> None:
    task = await make_task(client, **definition)
    for action in ("dry_run", "execute"):
        response = await client.post(task["_links"][action], json=body)
        assert response.status_code == 422, action
        assert response.json()["errors"][0]["loc"] == ["body", *where]


async def test_it_forecasts_from_the_users_completed_executions(
    client: Client, other: Client, world: World
) -> None:
    task = await make_task(client, is_public=True)
    assert (await dry_run(client, task))["forecast"] == {
        "executions": 0, "cost_usd": None, "input_tokens": None, "output_tokens": None,
        "turns": None, "duration_seconds": None,
    }  # fmt: skip
    for turns in range(1, 12):
        run = await execute(client, task)
        await complete(
            world,
            run,
            total_turns=turns,
            cost_usd=Decimal(turns) / 10,
            input_tokens=10,
            cache_read_tokens=100 * turns,
        )
    await execute(client, task)
    await complete(world, await execute(other, task), total_turns=1000)
    result = await dry_run(client, task)
    assert result["forecast"] == {
        "executions": 11,
        "cost_usd": {"median": 0.6, "p90": 1.0},
        "input_tokens": {"median": 610, "p90": 1010},
        "output_tokens": {"median": 0, "p90": 0},
        "turns": {"median": 6, "p90": 10},
        "duration_seconds": {"median": 30, "p90": 30},
    }
    assert any("budget" in warning for warning in result["warnings"])
    assert (await dry_run(other, task))["forecast"]["turns"]["median"] == 1000


async def test_it_stores_nothing(client: Client, world: World) -> None:
    task = await make_task(client)

    async def count() -> list[int | None]:
        async with world.gateway.database.reading() as session:
            tables = (ExecutionRow, AuditRow)
            return [await session.scalar(select(func.count()).select_from(t)) for t in tables]

    before = await count()
    await dry_run(client, task)
    assert await count() == before


async def test_it_requires_the_right_to_execute(client: Client, other: Client) -> None:
    task = await make_task(client)
    assert (await other.post(task["_links"]["dry_run"])).status_code == 403
    await client.patch(task["_links"]["self"], json={"is_active": False})
    assert (await client.post(task["_links"]["dry_run"])).json()["code"] == "task_inactive"
    await client.delete(task["_links"]["self"])
    assert (await client.post(task["_links"]["dry_run"])).status_code == 404
