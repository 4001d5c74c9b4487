"""Quotas hold at every start, and cost nothing where there are none."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, update

from api.auth.rate_limits import Rates
from api.main import create_app
from domain.errors import QuotaExceededError, UserDisabledError
from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from services import quotas
from services.quotas import Quotas
from tests.api.conftest import serve_app, settings_of
from tests.api.mcp.agents import connect, read_refusal
from tests.api.world import World, execute, make_task
from tests.waiting import now_within_an_hour


@pytest.fixture(scope="module")
async def limited(
    module_database_url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A gateway where each user may have ten executions at once."""
    settings = settings_of(
        module_database_url,
        temporal_address,
        home=tmp_path_factory.mktemp("home"),
        max_concurrent_executions_per_user=10,
    )
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def test_fifty_starts_at_once_do_not_pass_a_limit_of_ten(limited: World) -> None:
    async with limited.client("busy") as client:
        task = await make_task(client)
        answers = await asyncio.gather(*(client.post(task["_links"]["execute"]) for _ in range(50)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [202] * 10 + [429] * 40
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "quota_exceeded"
        assert int(refused.headers["retry-after"]) > 0
        first = next(answer for answer in answers if answer.status_code == 202).json()
        await _end(limited, first["id"])
        assert (await client.post(task["_links"]["execute"])).status_code == 202
        assert (await client.post(task["_links"]["execute"])).status_code == 429
    async with limited.client("idle") as client:
        await execute(client, await make_task(client))


async def test_an_agent_that_repeats_refused_calls_waits(
    limited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.auth.rate_limits.LONGEST_PAUSE_SECONDS", 0.2)
    monkeypatch.setattr(limited.gateway.refusals, "_rates", Rates("1/hour"))
    async with limited.client("busy agent") as client:
        task = await make_task(client)
        for _ in range(10):
            await execute(client, task)
    async with connect(limited, user="busy agent") as agent:
        for _ in range(2):
            began = time.monotonic()
            error = await read_refusal(agent, "execute_task", task=task["id"])
            assert error["code"] == "quota_exceeded"
    assert time.monotonic() - began >= 0.2


async def test_a_refusal_is_not_kept_for_who_tries_again(limited: World) -> None:
    async with limited.client("patient") as client:
        task = await make_task(client)
        running = [await execute(client, task) for _ in range(10)]
        path, key = task["_links"]["execute"], {"Idempotency-Key": str(new_id())}
        assert (await client.post(path, headers=key)).status_code == 429
        await _end(limited, running[0]["id"])
        assert (await client.post(path, headers=key)).status_code == 202
        again = await client.post(path, headers=key)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")


async def test_a_day_s_spending_ends_at_the_quota(limited: World) -> None:
    await now_within_an_hour()
    async with limited.client("spender") as client:
        task = await make_task(client)
        execution = await execute(client, task)
        owner = UUID(execution["user_id"])
        most = Quotas(max_usd_per_day=Decimal("1.5"))
        database = limited.gateway.database
        async with database.transaction() as session:
            assert await quotas.check(session, owner, most)
        await _end(limited, execution["id"], cost_usd=Decimal("1.5"))
        with pytest.raises(QuotaExceededError, match=r"1\.5"):
            async with database.transaction() as session:
                await quotas.check(session, owner, most)


async def test_users_without_a_quota_are_not_counted(world: World) -> None:
    statements: list[str] = []
    engine = world.gateway.database.engine.sync_engine
    async with world.client("free") as client:
        task = await make_task(client)
        await execute(client, task)

        def note(*given: Any) -> None:
            statements.append(given[2])

        event.listen(engine, "before_cursor_execute", note)
        await execute(client, task)
        event.remove(engine, "before_cursor_execute", note)
    assert statements
    assert not [s for s in statements if "FROM users" in s or "count(*)" in s]


async def test_a_disabled_user_cannot_start_an_execution(world: World) -> None:
    async with world.client("gone") as client:
        owner = UUID((await make_task(client))["user_id"])
    async with world.gateway.database.transaction() as session:
        user = await session.get_one(UserRow, owner)
        user.disabled_at = user.created_at
    with pytest.raises(UserDisabledError):
        async with world.gateway.database.transaction() as session:
            await quotas.check(session, owner, Quotas())


async def _end(world: World, execution_id: str, **columns: object) -> None:
    async with world.gateway.database.transaction() as session:
        await session.execute(
            update(ExecutionRow)
            .where(ExecutionRow.id == UUID(execution_id))
            .values(status="completed", **columns)
        )
