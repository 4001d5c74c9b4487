"""What the assignee of an input request may do, and what they read of another user's execution."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2

from persistence.tables.executions import ExecutionRow
from tests.api.factories import report
from tests.api.world import World, ask, execute, give_session, make_task
from tests.waiting import WITHIN_SECONDS

Client = httpx2.AsyncClient
BASE = "/api/v1/input-requests"


async def test_whom_a_request_is_assigned_to_reads_and_answers_it(world: World) -> None:
    async with world.client("asker") as owner, world.client("boss") as boss:
        execution = await execute(owner, await make_task(owner))
        await give_session(world, execution, "waiting_for_user")
        assigned = await ask(world, execution, assignee="boss")
        other = await ask(world, execution, assignee="another user")
        listed = (await boss.get("/api/v1/input-requests")).json()
        assert [r["id"] for r in listed["items"]] == [assigned]
        assert (await boss.get(f"/api/v1/input-requests/{assigned}")).status_code == 200
        for refused in (
            await boss.get(f"/api/v1/input-requests/{other}"),
            await boss.post(f"/api/v1/input-requests/{other}/answer", json={"message": "x"}),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        answered = await boss.post(
            f"/api/v1/input-requests/{assigned}/answer", json={"message": "Blue."}
        )
        assert answered.status_code == 200
        me = (await boss.get("/api/v1/me")).json()
        assert answered.json()["answered_by"] == me["id"]
        own = (await owner.get("/api/v1/input-requests")).json()["items"]
        assert {r["id"] for r in own} == {assigned, other}


def readable(execution: dict[str, Any]) -> list[str]:
    """The links for clients; a page leads to the sign-in of a browser."""
    return [link for name, link in execution["_links"].items() if name != "page"]


async def test_whom_a_request_is_assigned_to_only_reads_its_execution(world: World) -> None:
    async with world.client("asker") as owner, world.client("boss") as boss:
        execution = await execute(owner, await make_task(owner))
        await give_session(world, execution, "waiting_for_user")
        file = {"name": "plan.txt", "content": "Blue.", "execution_id": execution["id"]}
        artifact = (await owner.post("/api/v1/artifacts", json=file)).json()["_links"]["self"]
        path = execution["_links"]["self"]
        assert (await boss.get(path)).json()["code"] == "permission_denied"
        request = f"{BASE}/{await ask(world, execution, assignee='boss')}"
        assert (await boss.get(request)).json()["_links"]["execution"] == path
        read = (await boss.get(path)).json()
        assert (read["id"], read["status"]) == (execution["id"], "waiting_for_user")
        for link in (*readable(read), f"{artifact}/content"):
            assert (await boss.get(link)).status_code == 200, link
        (event, *_) = (await boss.get(f"{path}/events")).json()["items"]
        assert event["type"] == "execution.created"
        assert (await boss.get("/api/v1/task-executions")).json()["items"] == []
        for refused in (
            await boss.post(f"{path}/cancel"),
            await boss.post(f"{path}/messages", json={"content": "x"}),
            await boss.post("/api/v1/artifacts", json=file),
            await boss.get(f"/api/v1/sessions/{read['session_id']}"),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        await owner.post(f"{request}/assign", json={"assignee": None})
        for link in (path, f"{path}/events", artifact):
            assert (await boss.get(link)).status_code == 403


async def test_a_stream_ends_when_the_request_is_assigned_to_another(world: World) -> None:
    async with world.client("asker") as owner, world.client("boss") as boss:
        execution = await execute(owner, await make_task(owner))
        await give_session(world, execution, "waiting_for_user")
        request = f"{BASE}/{await ask(world, execution, assignee='boss')}"
        url, headers = execution["_links"]["events"], {"Accept": "text/event-stream"}
        async with (
            asyncio.timeout(WITHIN_SECONDS),
            boss.stream("GET", url, headers=headers) as stream,
        ):
            lines = stream.aiter_lines()
            while not (await anext(lines)).startswith("event: execution.created"):
                pass
            await owner.post(f"{request}/assign", json={"assignee": "deputy"})
            await owner.post(f"{request}/answer", json={"message": "secret"})
            assert not [line async for line in lines if "input.answered" in line]


async def test_a_request_is_delegated(world: World) -> None:
    async with (
        world.client("asker") as owner,
        world.client("boss") as boss,
        world.client("deputy") as deputy,
    ):
        path = f"{BASE}/{await ask(world, await execute(owner, await make_task(owner)))}"
        assert (await boss.post(f"{path}/assign", json={"assignee": "boss"})).status_code == 403
        assigned = await owner.post(f"{path}/assign", json={"assignee": "boss"})
        assert (assigned.status_code, assigned.json()["assignee"]) == (200, "boss")
        assert (await boss.post(f"{path}/assign", json={"assignee": "deputy"})).status_code == 200
        for refused in (await boss.get(path), await boss.post(f"{path}/answer", json={})):
            assert refused.status_code == 403
        listed = (await deputy.get(f"{BASE}?assignee=deputy&status=open")).json()["items"]
        assert [request["assignee"] for request in listed] == ["deputy"]
        assert (await deputy.post(f"{path}/answer", json={"message": "x"})).status_code == 200
        late = await owner.post(f"{path}/assign", json={"assignee": None})
        assert (late.status_code, late.json()["code"]) == (409, "already_answered")


async def test_the_assignee_reads_the_report_of_the_execution(world: World) -> None:
    async with world.client("asker") as owner, world.client("boss") as boss:
        path = f"/api/v1/reports/{(await report(world, owner, 'news'))['report_id']}"
        stored = (await owner.get(path)).json()
        execution = stored["_links"]["execution"]
        links = (path, f"{path}/download?format=markdown", f"{execution}/report")
        for link in links:
            assert (await boss.get(link)).json()["code"] == "permission_denied"
        await ask(world, {"id": stored["execution_id"]}, assignee="boss")
        for link in links:
            assert (await boss.get(link)).status_code == 200, link
        assert "report" in (await boss.get(execution)).json()["_links"]
        assert (await boss.get("/api/v1/reports")).json()["items"] == []


async def test_the_assignee_reads_subtasks_and_no_other_execution(world: World) -> None:
    async with world.client("asker") as owner, world.client("boss") as boss:
        parent, child, grandchild, sibling = [
            await execute(owner, await make_task(owner)) for _ in range(4)
        ]
        for execution, above in ((child, parent), (grandchild, child), (sibling, parent)):
            await set_parent(world, execution, above)
        await ask(world, child, assignee="boss")
        children = f"{child['_links']['self']}/children"
        (listed,) = (await boss.get(children)).json()["items"]
        assert listed["id"] == grandchild["id"]
        for link in readable(listed):
            assert (await boss.get(link)).status_code == 200, link
        for other in (parent, sibling):
            for link in (other["_links"]["self"], f"{other['_links']['self']}/children"):
                assert (await boss.get(link)).status_code == 403, link


async def set_parent(world: World, execution: dict[str, Any], parent: dict[str, Any]) -> None:
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.parent_execution_id = UUID(parent["id"])
