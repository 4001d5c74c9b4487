"""Every change and every execute leaves an entry in the audit log: each route of the OpenAPI
document that may change something is asked, and its entry is looked for by its request id."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import MessageRow
from tests.api.factories import API, LEASES
from tests.api.test_artifact_retention import save
from tests.api.test_isolation import ROUTES, Owner, Route
from tests.api.world import World, give_session

BY_ITS_ADDRESS = {"POST /hooks/{token}": "nobody is known; tests/api/test_hooks.py looks"}

CHANGES_NOTHING = {
    "POST /tasks/{task_id}/dry-run": "renders and checks, starts nothing",
    "POST /input-requests/bulk/answer": "no such request; see tests/api/test_bulk_answers.py",
    "POST /input-requests/bulk/withdraw": "no such request; see tests/api/test_bulk_answers.py",
    "POST /queue/{execution_id}/heartbeat": "only extends a lease, which has entries",
    "POST /task-executions/bulk/cancel": "nothing fits the filter; see tests/api/test_bulk.py",
    "POST /task-executions/bulk/retry": "nothing fits the filter; see tests/api/test_bulk.py",
}
"""Routes that answer with 2xx here and leave no entry, each with its reason."""

Prepare = Callable[[World, Owner, dict[str, str]], Awaitable[None]]


async def end_execution(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only an ended execution can be retried."""
    del owner
    async with world.gateway.database.transaction() as session:
        end = text("UPDATE executions SET status = 'failed', completed_at = now() WHERE id = :id")
        await session.execute(end, {"id": UUID(made["execution_id"])})


async def finish_execution(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a conversation in which nothing runs is deleted."""
    del owner
    async with world.gateway.database.transaction() as session:
        end = text(
            "UPDATE executions SET status = 'completed', completed_at = now() "
            "WHERE session_id = :id"
        )
        await session.execute(end, {"id": UUID(made["session_id"])})


async def add_schedule(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a task with a schedule has one to pause."""
    del world
    schedule = {"is_scheduled": True, "schedule_cron": "0 9 * * *", "schedule_enabled": True}
    response = await owner.client.patch(f"{API}/tasks/{made['task_id']}", json=schedule)
    assert response.is_success, response.text


async def pause_schedule(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a schedule that is paused is resumed."""
    await add_schedule(world, owner, made)
    response = await owner.client.post(f"{API}/tasks/{made['task_id']}/schedule/pause")
    assert response.is_success, response.text


async def pause_execution(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a paused execution can be resumed."""
    del world
    path = f"{API}/task-executions/{made['execution_id']}/pause"
    response = await owner.client.post(path)
    assert response.is_success, response.text


async def start_execution(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only an execution that has started can be asked to finish."""
    del owner
    await give_session(world, {"id": made["execution_id"]})


async def add_prompt(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only an execution with messages can be forked."""
    await give_session(world, {"id": made["execution_id"]})
    del owner
    async with world.gateway.database.transaction() as session:
        await session.execute(
            text("INSERT INTO prefixes (sha256, body) VALUES (sha256('x'), '{}')")
        )
        row = await session.get_one(ExecutionRow, UUID(made["execution_id"]))
        row.prefix_sha256 = hashlib.sha256(b"x").digest()
        assert row.session_id
        prompt = {"seq": 1, "role": "user", "content": "[]"}
        session.add(MessageRow(session_id=row.session_id, execution_id=row.id, **prompt))


async def waits_for_a_worker(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only if there is work, a claim or a clean-up changes something."""
    del world, made
    body = {"prompt": "Say hello.", "executor": "external"}
    response = await owner.client.post(f"{API}/task-executions", json=body)
    assert response.is_success, response.text


async def work_has_ended(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only finished work is pruned."""
    await waits_for_a_worker(world, owner, made)
    claimed = (await owner.client.post(f"{API}/queue/claim", json={})).json()
    body = {"lease_token": claimed["lease_token"]}
    response = await owner.client.post(f"{API}/queue/{claimed['id']}/complete", json=body)
    assert response.is_success, response.text


async def keeps_an_old_artifact(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only artifacts of executions that have ended are deleted."""
    task = (await owner.client.get(f"{API}/tasks/{made['task_id']}")).json()
    await save(world, owner.client, task, days=1)


async def reader_is_known(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a user who has used the server can be granted something."""
    del owner, made
    async with world.client("reader") as reader:
        await reader.get(f"{API}/me")


async def start_plan(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a plan that was started can be cancelled."""
    del world
    response = await owner.client.post(f"{API}/plans/{made['plan_id']}/start")
    assert response.is_success, response.text


async def broken(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only a plan with a failed step can be retried."""
    await start_plan(world, owner, made)
    plan = (await owner.client.get(f"{API}/plans/{made['plan_id']}")).json()
    for execution_id in (plan["execution_id"], plan["steps"][0]["execution_id"]):
        await end_execution(world, owner, {"execution_id": execution_id})


async def answer_later(world: World, owner: Owner, made: dict[str, str]) -> None:
    """Only an answer that has not taken effect is withdrawn."""
    del world
    path = f"{API}/input-requests/{made['request_id']}/answer"
    response = await owner.client.post(path, json={"message": "Blue.", "undo_seconds": 60})
    assert response.is_success, response.text


PREPARED: dict[str, Prepare] = {
    "POST /input-requests/{request_id}/withdraw": answer_later,
    "POST /plans/{plan_id}/cancel": start_plan,
    "POST /plans/{plan_id}/retry": broken,
    "POST /plans/{plan_id}/steps/{key}/retry": broken,
    "POST /tasks/{task_id}/schedule/pause": add_schedule,
    "POST /tasks/{task_id}/schedule/resume": pause_schedule,
    "POST /tasks/{task_id}/schedule/trigger": add_schedule,
    "POST /tasks/{task_id}/schedule/backfill": add_schedule,
    "POST /task-executions/{execution_id}/resume": pause_execution,
    "POST /task-executions/{execution_id}/finish": start_execution,
    "POST /task-executions/{execution_id}/fork": add_prompt,
    "POST /task-executions/{execution_id}/retry": end_execution,
    "POST /task-executions/{execution_id}/report": end_execution,
    "POST /tasks/{task_id}/artifacts/prune": keeps_an_old_artifact,
    "POST /queue/claim": waits_for_a_worker,
    "POST /queue/clean-up": waits_for_a_worker,
    "POST /queue/prune": work_has_ended,
    "DELETE /sessions/{session_id}": finish_execution,
    "POST /memory-grants": reader_is_known,
}

CHANGING = [
    route
    for route in ROUTES
    if route.method in {"POST", "PUT", "PATCH", "DELETE"} and route.name not in BY_ITS_ADDRESS
]
AUDITED = [route for route in CHANGING if route.name not in CHANGES_NOTHING]
UNAUDITED = [route for route in CHANGING if route.name in CHANGES_NOTHING]


@pytest.mark.parametrize("route", AUDITED, ids=lambda route: route.name)
async def test_a_change_leaves_an_entry(world: World, route: Route) -> None:
    name = f"changer-{new_id().hex}"
    found = await entries_of_request(world, route, name)
    assert found, f"{route.name} leaves no entry"
    for entry in found:
        assert (entry.actor, entry.address) == (name, "127.0.0.1")
        assert entry.action
        assert entry.before is not None or entry.after is not None, entry.action


@pytest.mark.parametrize("route", UNAUDITED, ids=lambda route: route.name)
async def test_a_request_that_changes_nothing_leaves_no_entry(world: World, route: Route) -> None:
    assert await entries_of_request(world, route, f"changer-{new_id().hex}") == []


async def entries_of_request(world: World, route: Route, name: str) -> list[Any]:
    """Make a request as the admin of this name; the audit entries it leaves."""
    async with world.client(name, role="admin") as client:
        owner = Owner(client, name)
        made = await owner.make(world, route.resource) if route.parameters else {}
        if prepare := PREPARED.get(route.name):
            await prepare(world, owner, made)
        path = route.path.format(**made)
        body = route.body
        if body and "lease_token" in body:
            body = {**body, "lease_token": LEASES[made["execution_id"]]}
        request_id = f"coverage-{new_id()}"
        headers = {"X-Request-ID": request_id}
        answer = await client.request(route.method, path, json=body, headers=headers)
        assert answer.is_success, f"{route.name}: {answer.text}"
        return await entries(world, request_id)


async def entries(world: World, request_id: str) -> list[Any]:
    statement = text(
        "SELECT u.subject AS actor, a.* FROM audit_log a JOIN users u ON u.id = a.actor_id "
        "WHERE a.request_id = :request_id"
    )
    async with world.gateway.database.reading() as session:
        return list(await session.execute(statement, {"request_id": request_id}))


def test_exceptions_name_routes_that_are_there() -> None:
    names = {route.name for route in CHANGING}
    assert CHANGES_NOTHING.keys() | PREPARED.keys() <= names
