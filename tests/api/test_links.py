"""`_links`: a reader of a resource can follow each one."""

from typing import Any
from uuid import UUID

import httpx2

from persistence.tables.sessions import ReportRow
from tests.api.world import World, ask, execute, give_session, make_task

Client = httpx2.AsyncClient


async def follow_links(client: Client, path: str) -> set[str]:
    """The names of the links at `path`, each of which can be read, or posted to."""
    read = await client.get(path)
    assert read.status_code == 200, read.text
    links: dict[str, str] = read.json()["_links"]
    for name, link in links.items():
        if name == "temporal":  # of another server, which no test of the gateway starts
            continue
        answer = await client.get(link)
        is_action = answer.status_code == 405 and "POST" in answer.headers["allow"]
        is_page = name == "page" and answer.status_code == 303  # to the sign-in of a browser
        assert answer.status_code == 200 or is_action or is_page, (name, link, answer.text)
    return set(links)


async def end_execution(world: World, client: Client, task: dict[str, Any]) -> dict[str, Any]:
    execution = await execute(client, task)
    await give_session(world, execution, "completed")
    return execution


async def test_a_public_task_shows_others_what_they_may_follow(
    client: Client, other: Client
) -> None:
    task = await make_task(client, is_public=True)
    own = await follow_links(client, task["_links"]["self"])
    assert own - await follow_links(other, task["_links"]["self"]) == {"schedule", "hooks"}


async def test_no_execution_leads_to_what_is_deleted(world: World, client: Client) -> None:
    task = await make_task(client)
    execution = await end_execution(world, client, task)
    path = execution["_links"]["self"]
    assert {"task", "session"} <= await follow_links(client, path)
    session = (await client.get(path)).json()["_links"]["session"]
    assert (await client.delete(session)).status_code == 204
    assert "session" not in await follow_links(client, path)
    assert (await client.delete(task["_links"]["self"])).status_code == 204
    assert "task" not in await follow_links(client, path)
    (listed,) = (await client.get(f"/api/v1/task-executions?task_id={task['id']}")).json()["items"]
    assert listed == (await client.get(path)).json()


async def test_no_execution_leads_others_to_a_task_that_is_theirs_no_more(
    world: World, client: Client, other: Client, admin: Client
) -> None:
    task = await make_task(client, is_public=True)
    execution = await end_execution(world, other, task)
    path = execution["_links"]["self"]
    assert "task" in await follow_links(other, path)
    await client.patch(task["_links"]["self"], json={"is_public": False})
    assert "task" not in await follow_links(other, path)
    assert "task" in await follow_links(admin, path)
    listing = f"/api/v1/task-executions?task_id={task['id']}"
    (listed,) = (await other.get(listing)).json()["items"]
    assert listed == (await other.get(path)).json()


async def test_who_is_asked_is_led_to_what_asks(
    world: World, client: Client, other: Client
) -> None:
    execution = await execute(client, await make_task(client))
    await give_session(world, execution, "waiting_for_user")
    request = f"/api/v1/input-requests/{await ask(world, execution, assignee='bob')}"
    shown = {"self", "page", "comments", "execution", "answer", "assign", "claim"}
    assert await follow_links(client, request) == await follow_links(other, request) == shown
    assert not {"task", "session", "cancel"} & await follow_links(
        other, execution["_links"]["self"]
    )


async def test_no_report_leads_to_a_task_that_is_deleted(world: World, client: Client) -> None:
    task = await make_task(client)
    execution = await end_execution(world, client, task)
    async with world.gateway.database.transaction() as session:
        report = ReportRow(
            user_id=UUID(execution["user_id"]),
            execution_id=UUID(execution["id"]),
            task_id=UUID(task["id"]),
            title="greet",
            format="html",
            content={},
        )
        session.add(report)
    listing = f"/api/v1/reports?task_id={task['id']}"
    (before,) = (await client.get(listing)).json()["items"]
    await client.delete(task["_links"]["self"])
    (after,) = (await client.get(listing)).json()["items"]
    assert before["_links"].keys() - after["_links"].keys() == {"task"}
