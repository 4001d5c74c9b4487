"""The field `network`: within what the operator allows, and never passed on to other users."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest

from api.main import create_app
from domain.ids import new_id
from persistence.executions.snapshot import definition_of
from persistence.tables.executions import ExecutionRow
from tests.api.browsing import API, sign_in
from tests.api.conftest import serve_app, settings_of
from tests.api.factories import AGENT, PROMPT
from tests.api.test_definition_pages import form_of
from tests.api.world import TASK, World, make_task

Client = httpx2.AsyncClient

OPERATOR = ["*.example.com:443", "git.example.com:22"]


@pytest.fixture(scope="module")
async def world(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    settings = settings_of(module_database_url, temporal_address, network_allow=OPERATOR)
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


def allow(*entries: str) -> dict[str, Any]:
    return {"allow": list(entries)}


async def make_agent(client: Client, **fields: Any) -> str:
    slug = f"poet-{new_id()}"
    response = await client.post("/api/v1/agents", json={**AGENT, "agent_id": slug, **fields})
    assert response.status_code == 201, response.text
    assert response.json()["network"] == fields.get("network")
    return slug


async def test_a_task_keeps_its_hosts_in_one_form(client: Client) -> None:
    task = await make_task(client, network=allow("API.Example.com:443", "git.example.com:22"))
    assert task["network"] == allow("api.example.com:443", "git.example.com:22")
    changed = await client.patch(task["_links"]["self"], json={"network": None})
    assert changed.json()["network"] is None
    assert (await make_task(client))["network"] is None


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("api.example.org", "PERDURE_NETWORK_ALLOW"),
        ("api.example.com", "api.example.com:443; write that"),
        ("*", "*.example.com:443; write that"),
        ("https://api.example.com", "write 'api.example.com'"),
    ],
)
async def test_what_the_operator_does_not_allow_is_refused(
    client: Client, entry: str, says: str
) -> None:
    network = allow("a.example.com:443", entry)
    ways = {
        "tasks": {**TASK, "name": new_id().hex, "network": network},
        "task-executions": {**PROMPT, "network": network},
        "agents": {**AGENT, "agent_id": f"poet-{new_id()}", "network": network},
    }
    for path, body in ways.items():
        refused = await client.post(f"/api/v1/{path}", json=body)
        assert refused.status_code == 422, path
        [error] = refused.json()["errors"]
        assert error["loc"] == ["body", "network", "allow", 1]
        assert says in error["msg"]


async def test_nothing_public_opens_the_network(client: Client) -> None:
    network = allow("api.example.com:443")
    task = await make_task(client, network=network)
    refused = await client.patch(task["_links"]["self"], json={"is_public": True})
    assert refused.json()["errors"][0]["loc"] == ["body", "network"]
    template = {"name": new_id().hex, "task": {"prompt_template": "Go.", "network": network}}
    own = await client.post("/api/v1/task-templates", json=template)
    assert own.status_code == 201
    assert own.json()["task"]["network"] == network
    refused = await client.patch(own.json()["_links"]["self"], json={"is_public": True})
    assert refused.json()["errors"][0]["loc"] == ["body", "task", "network"]


async def test_the_work_of_an_agent_has_its_hosts(world: World, client: Client) -> None:
    agent = await make_agent(client, network=allow("api.example.com:443"))
    for own, expected in (
        ({}, allow("api.example.com:443")),
        ({"network": allow()}, allow()),
        ({"network": allow("git.example.com:22")}, allow("git.example.com:22")),
    ):
        body = {**PROMPT, "agent_id": agent, **own}
        started = await client.post("/api/v1/task-executions", json=body)
        assert started.status_code == 202, started.text
        async with world.gateway.database.reading() as session:
            row = await session.get_one(ExecutionRow, UUID(started.json()["id"]))
            assert (await definition_of(session, row))["network"] == expected


async def test_a_web_tool_without_network_has_a_warning(client: Client) -> None:
    """It is not offered, and executions still start."""
    tools = ["bash", "http_request(domain:api.example.com)", "web_fetch"]
    task = await make_task(client, allowed_tools=tools)
    [warning] = task["warnings"]
    assert warning.startswith("Not offered, because there is no network: http_request, web_fetch.")
    dry = (await client.post(task["_links"]["dry_run"], json={})).json()
    assert [tool["tool"] for tool in dry["tools"]] == ["bash"]
    body = {"strict_variables": True, "variables": {"name": "Ada"}}
    started = await client.post(task["_links"]["execute"], json=body)
    assert started.status_code == 202
    assert warning in started.json()["warnings"]
    network = {"network": allow("api.example.com:443")}
    changed = (await client.patch(task["_links"]["self"], json=network)).json()
    assert changed["warnings"] == []
    dry = (await client.post(task["_links"]["dry_run"], json={})).json()
    assert [tool["tool"] for tool in dry["tools"]] == ["bash", "http_request", "web_fetch"]


async def test_emptied_limits_of_an_agent_allow_nothing(world: World, client: Client) -> None:
    alice = await sign_in(world, "alice")
    slug, memory = f"a{new_id().hex}", {"namespaces": [{"namespace": "project:x", "mode": "read"}]}
    network = allow("a.example.com:443")
    agent = {**AGENT, "agent_id": slug, "memory": memory, "network": network}
    (await client.post(f"{API}/agents", json=agent)).raise_for_status()
    page = f"/agents/{slug}/edit"
    sent = form_of(await alice.get(page))
    names = ("network/allow", "memory/namespaces/namespace", "memory/namespaces/mode")
    emptied = {name: [""] for name in names}
    for changed, limits in (
        ({"name": ["B"]}, (network, memory)),
        (emptied, (allow(), {"namespaces": []})),
        ({"name": ["C"]} | emptied, (allow(), {"namespaces": []})),
        ({"network/allow": ["a.example.com:443"]}, (network, memory)),
    ):
        sent |= {"stored_at": form_of(await alice.get(page))["stored_at"]}
        saved = await alice.post(page, data=sent | changed)
        assert saved.status_code == 303, saved.text
        stored = (await client.get(f"{API}/agents/{slug}")).json()
        assert (stored["network"], stored["memory"]) == limits
    await alice.aclose()
