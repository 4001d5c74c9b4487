"""Reports over HTTP: what the record told, with the end as it came, in the format asked for."""

from uuid import UUID

import httpx2

from activities import report as reporting
from persistence.tables.executions import ExecutionRow
from tests.api.world import World, execute, make_task
from tests.reports.told import begun

Client = httpx2.AsyncClient


async def told(world: World, client: Client) -> str:
    """A finished execution of the client's with a report; the path of the report."""
    user_id = UUID((await execute(client, await make_task(client)))["user_id"])
    async with world.gateway.database.transaction() as session:
        story = await begun(session, user_id=user_id, title="Tell me")
        await story.say("Go.")
        await story.answer("Done, & <b>well</b>.")
        await reporting.store(session, story.row.id)
    return f"/api/v1/task-executions/{story.row.id}/report"


async def test_html_is_a_page_that_runs_nothing(world: World, client: Client) -> None:
    response = await client.get(await told(world, client), params={"format": "html"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "Done, &amp; &lt;b&gt;well&lt;/b&gt;." in response.text


async def test_json_is_the_content_alone(world: World, client: Client) -> None:
    path = await told(world, client)
    stored = (await client.get(path)).json()
    content = (await client.get(path, params={"format": "json"})).json()
    assert content == stored["content"]
    assert content["outcome"]["text"]["text"] == "Done, & <b>well</b>."


async def test_a_cancel_at_the_last_moment_is_shown(world: World, client: Client) -> None:
    path = await told(world, client)
    execution = path.removesuffix("/report")
    cancelled = await client.post(f"{execution}/cancel", json={"reason": "Stop."})
    assert cancelled.status_code == 202
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution.rpartition("/")[2]))
        row.status = "cancelled"
    for content in (
        (await client.get(path)).json()["content"],
        (await client.get(path, params={"format": "json"})).json(),
    ):
        assert content["outcome"]["status"] == "cancelled"
        assert content["outcome"]["message"] == "Stop."


async def test_formats_that_are_not_there_are_named(world: World, client: Client) -> None:
    response = await client.get(await told(world, client), params={"format": "pdf"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert "html, json" in response.json()["detail"]
