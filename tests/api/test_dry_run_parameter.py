"""`?dry_run=true`: every rule is asked, nothing is stored."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from domain.ids import new_id
from tests.api.factories import AGENT, API, GROUP, SERVER, TEMPLATE
from tests.api.world import TASK, World, make_task

Client = httpx2.AsyncClient

TRY = {"dry_run": "true"}
MARKDOWN = "---\nname: {name}\n---\nYou write.\n"
MADE: dict[str, dict[str, Any]] = {
    "tasks": TASK,
    "agents": {"agent_id": "poet", **AGENT},
    "task-templates": TEMPLATE,
    "tool-groups": GROUP,
    "mcp-servers": SERVER,
}
"""What each route that takes `dry_run` makes something of."""


async def entries(world: World) -> int:
    """How much there is in the audit log, where everything that is stored leaves a row."""
    async with world.gateway.database.reading() as session:
        return int(await session.scalar(text("SELECT count(*) FROM audit_log")) or 0)


def without_identity(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource without the fields that differ at each create."""
    passed_over = {"id", "_links", "created_at", "updated_at", "user_id"}
    return {field: value for field, value in resource.items() if field not in passed_over}


@pytest.mark.parametrize("kind", MADE)
async def test_a_dry_create_shows_the_resource_and_stores_nothing(
    kind: str, world: World, client: Client
) -> None:
    before = await entries(world)
    key = {"Idempotency-Key": str(new_id())}
    tried = await client.post(f"{API}/{kind}", json=MADE[kind], params=TRY, headers=key)
    assert tried.status_code == 200, tried.text
    assert "location" not in tried.headers
    assert (await client.get(tried.json()["_links"]["self"])).status_code == 404
    assert await entries(world) == before
    made = await client.post(f"{API}/{kind}", json=MADE[kind], headers=key)
    assert made.status_code == 201, made.text
    assert without_identity(made.json()) == without_identity(tried.json())


@pytest.mark.parametrize("kind", MADE)
async def test_a_dry_update_shows_the_change_and_stores_nothing(
    kind: str, world: World, client: Client
) -> None:
    body = {**MADE[kind], **({"agent_id": f"a{new_id().hex}"} if kind == "agents" else {})}
    body["name"] = f"n{new_id().hex}"
    made = (await client.post(f"{API}/{kind}", json=body)).json()
    before = await entries(world)
    address, change = made["_links"]["self"], {"description": "Another."}
    tried = await client.patch(address, json=change, params=TRY)
    assert tried.status_code == 200, tried.text
    assert tried.json()["description"] == "Another."
    assert (await client.get(address)).json() == made
    assert await entries(world) == before


async def test_a_dry_run_is_refused_as_the_request_would_be(client: Client) -> None:
    task = await make_task(client)
    for body, status in (
        ({**TASK, "name": "other", "allowed_tools": ["ssh"]}, 422),
        ({**TASK, "name": task["name"]}, 409),
        ({**TASK, "name": "other", "sdk_options": {"permission_mode": "bypassPermissions"}}, 403),
    ):
        tried = await client.post(f"{API}/tasks", json=body, params=TRY)
        real = await client.post(f"{API}/tasks", json=body)
        assert tried.status_code == real.status_code == status, tried.text
        assert tried.json()["detail"] == real.json()["detail"]
        assert tried.json().get("errors") == real.json().get("errors")
    address = task["_links"]["self"]
    tried = await client.patch(address, json={"agent_id": "nobody"}, params=TRY)
    assert tried.json()["errors"][0]["type"] == "unknown_agent"


async def test_a_template_and_an_agents_file_are_tried_too(world: World, client: Client) -> None:
    template = {**TEMPLATE, "name": f"t{new_id().hex}"}
    made = (await client.post(f"{API}/task-templates", json=template)).json()
    before = await entries(world)
    path, name = f"{made['_links']['self']}/create-task", f"t{new_id().hex}"
    body = {"name": name, "parameters": {"name": "Ada"}}
    tried = await client.post(path, json=body, params=TRY)
    assert (tried.status_code, tried.json()["prompt_template"]) == (200, "Greet Ada.")
    assert (await client.post(path, json={"name": name}, params=TRY)).status_code == 422
    file = {"markdown": MARKDOWN.format(name=f"a{new_id().hex}")}
    tried = await client.post(f"{API}/agents/import", json=file, params=TRY)
    assert tried.status_code == 200, tried.text
    assert (await client.get(tried.json()["_links"]["self"])).status_code == 404
    assert await entries(world) == before
    made = await client.post(f"{API}/agents/import", json=file)
    assert made.status_code == 201
    changed = {"markdown": file["markdown"].replace("write", "sing"), "replace": True}
    tried = await client.post(f"{API}/agents/import", json=changed, params=TRY)
    assert tried.json()["system_prompt"] == "You sing."
    assert (await client.get(made.json()["_links"]["self"])).json()["system_prompt"] == "You write."


async def test_a_schedule_is_tried_and_not_made(client: Client) -> None:
    task = await make_task(client)
    change = {"is_scheduled": True, "schedule_cron": "0 9 * * *", "schedule_enabled": True}
    tried = await client.patch(task["_links"]["self"], json=change, params=TRY)
    assert tried.json()["is_scheduled"] is True
    listed = (await client.get(f"{API}/schedules")).json()["items"]
    assert task["id"] not in [line["task_id"] for line in listed]
    wrong = {**change, "schedule_cron": "soon"}
    assert (await client.patch(task["_links"]["self"], json=wrong, params=TRY)).status_code == 422
