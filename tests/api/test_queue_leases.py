"""Leases of claimed work: cancels, lost and released work, and the clocks of workers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.executions.external_work import MOST_LOST_ATTEMPTS
from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from services.external_work.expiry import end_expired
from tests.api.factories import API
from tests.api.test_queue import (
    QUEUE,
    WORK,
    Client,
    claim,
    enqueue,
    events,
    make_agent,
    read,
    report,
)
from tests.api.world import World


async def run_out(world: World, execution: dict[str, Any]) -> None:
    """End the time of a lease on the clock that decides, the database's."""
    async with world.gateway.database.transaction() as session:
        past = "UPDATE executions SET lease_expires_at = clock_timestamp() WHERE id = :id"
        await session.execute(text(past), {"id": UUID(execution["id"])})


async def sweep(world: World) -> int:
    """What a worker of Perdure does each second."""
    services = world.gateway.services
    return await end_expired(services.database, services.workflows)


async def test_a_worker_learns_of_a_cancel(client: Client) -> None:
    claimed = await claim(client, await enqueue(client))
    path, lease = f"{QUEUE}/{claimed['id']}", {"lease_token": claimed["lease_token"]}
    alive = (await client.post(f"{path}/heartbeat", json=lease)).json()
    assert not alive["must_stop"]
    assert alive["lease_expires_at"] > claimed["lease_expires_at"]
    await client.post(f"{WORK}/{claimed['id']}/cancel", json={"reason": "enough"})
    stopped = (await client.post(f"{path}/heartbeat", json=lease)).json()
    assert (stopped["must_stop"], stopped["cancel_reason"]) == (True, "enough")
    await report(client, claimed, detailed_work="kept")
    late = await report(client, claimed, detailed_work="kept")
    assert (late.status_code, late.json()["code"]) == (409, "lease_lost")
    kept = (await client.get(f"{WORK}/{claimed['id']}/artifacts")).json()["items"]
    assert len(kept) == 1
    assert kept[0]["id"] in late.json()["detail"]


async def test_a_lease_that_ran_out_returns_the_work_at_once(world: World, client: Client) -> None:
    agent = await make_agent(client)
    execution = await enqueue(client, agent_id=agent)
    claimed = await claim(client, execution)
    await run_out(world, execution)
    other = (await client.post(f"{QUEUE}/claim", json={"agent_id": agent})).json()
    assert other["id"] == execution["id"]
    path, lease = f"{QUEUE}/{execution['id']}", {"lease_token": claimed["lease_token"]}
    for verb in ("heartbeat", "release"):
        lost = await client.post(f"{path}/{verb}", json=lease)
        assert (lost.status_code, lost.json()["code"]) == (409, "lease_lost")
    failed = await client.post(f"{path}/fail", json={**lease, "message": "no"})
    assert failed.status_code == 409
    late = await report(client, claimed, detailed_work="late")
    assert late.status_code == 409
    assert (await read(client, execution))["status"] == "running"
    assert (await report(client, other, summary="in time")).status_code == 200
    assert ("execution.status_changed", "lease_expired") in await events(client, execution)


async def test_work_that_is_lost_too_often_fails(world: World, client: Client) -> None:
    execution = await enqueue(client)
    for _ in range(MOST_LOST_ATTEMPTS - 1):
        await claim(client, execution)
        await run_out(world, execution)
        assert await sweep(world) == 1
        assert (await read(client, execution))["status"] == "pending"
    claimed = await claim(client, execution)
    await run_out(world, execution)
    await sweep(world)
    found = await read(client, execution)
    assert (found["status"], found["error_code"]) == ("failed", "worker_error")
    assert (await report(client, claimed, detailed_work="late")).status_code == 409
    kinds = [kind for kind, _ in await events(client, execution)]
    assert kinds[-1] == "execution.failed"


async def test_progress_starts_the_count_again(world: World, client: Client) -> None:
    execution = await enqueue(client)
    for _ in range(MOST_LOST_ATTEMPTS - 1):
        await claim(client, execution)
        await run_out(world, execution)
        await sweep(world)
    claimed = await claim(client, execution)
    await report(client, claimed, summary="some", next_action="continue")
    await run_out(world, execution)
    await sweep(world)
    assert (await read(client, execution))["status"] == "pending"


async def test_released_work_returns_to_the_queue(client: Client) -> None:
    execution = await enqueue(client)
    claimed = await claim(client, execution)
    lease = {"lease_token": claimed["lease_token"], "reason": "deploy"}
    returned = await client.post(f"{QUEUE}/{claimed['id']}/release", json=lease)
    assert (returned.json()["status"], returned.json()["status_reason"]) == ("pending", "released")
    assert (returned.json()["claimed_by"], returned.json()["lease_expires_at"]) == (None, None)


async def test_inactive_work_returns_to_the_queue(client: Client) -> None:
    claimed = await claim(client, await enqueue(client))
    limits = {"inactive_hours": 1e-7}
    for dry_run, status in ((True, "running"), (False, "pending")):
        body = {**limits, "dry_run": dry_run}
        found = (await client.post(f"{QUEUE}/clean-up", json=body)).json()
        actions = {item["execution_id"]: item["action"] for item in found["items"]}
        assert (found["dry_run"], actions[claimed["id"]]) == (dry_run, "return_to_queue")
        row = (await client.get(f"{API}/task-executions/{claimed['id']}")).json()
        assert row["status"] == status


async def test_a_repeated_claim_with_a_key_returns_the_same_lease(client: Client) -> None:
    agent = await make_agent(client)
    for _ in range(2):
        await enqueue(client, agent_id=agent)
    headers = {"Idempotency-Key": str(new_id())}
    one, two = [
        (await client.post(f"{QUEUE}/claim", json={"agent_id": agent}, headers=headers)).json()
        for _ in range(2)
    ]
    assert (one["id"], one["lease_token"]) == (two["id"], two["lease_token"])


async def test_clocks_of_workers_do_not_matter(world: World, client: Client) -> None:
    claimed = await claim(client, await enqueue(client), lease_seconds=30)
    async with world.gateway.database.reading() as session:
        row = await session.get_one(ExecutionRow, UUID(claimed["id"]))
        now = await session.scalar(text("SELECT clock_timestamp()"))
    assert row.lease_expires_at is not None
    assert row.claimed_at is not None
    assert row.lease_expires_at - row.claimed_at < timedelta(seconds=31)
    assert abs(row.claimed_at - now) < timedelta(seconds=20)
