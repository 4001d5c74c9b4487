"""Deleting something says which definitions still name it."""

from typing import Any

import httpx2
import pytest

from domain.ids import new_id
from tests.api.world import make_task

Client = httpx2.AsyncClient
SERVER = {"url": "https://mcp.example.com/mcp"}


async def list_dependents(client: Client, path: str) -> list[tuple[str, str]]:
    response = await client.delete(path)
    assert response.status_code in {200, 204}, response.text
    if response.status_code == 204:
        return []
    return sorted((one["kind"], one["name"]) for one in response.json()["named_by"])


async def make(client: Client, path: str, **body: Any) -> dict[str, Any]:
    response = await client.post(f"/api/v1{path}", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def make_template(client: Client, name: str, **task: Any) -> None:
    await make(client, "/task-templates", name=name, task={**TASK_BODY, **task})


TASK_BODY = {"prompt_template": "x"}


@pytest.fixture
def name() -> str:
    return f"n{new_id().hex}"


async def test_an_agent(client: Client, other: Client, name: str) -> None:
    agent = {"agent_id": name, "name": "a", "system_prompt": "x"}
    path = (await make(client, "/agents", **agent))["_links"]["self"]
    assert await list_dependents(client, path) == []
    await make(client, "/agents", **agent)
    await make(other, "/agents", **agent)
    task = await make_task(client, name=f"t {name}", agent_id=name)
    gone = await make_task(client, name=f"gone {name}", agent_id=name)
    assert await list_dependents(client, gone["_links"]["self"]) == []
    changed = await make_task(client, name=f"changed {name}", agent_id=name)
    await client.patch(changed["_links"]["self"], json={"agent_id": None})
    await make_template(client, f"p {name}", agent_id=name)
    assert await list_dependents(other, path) == []
    found = [("task", task["name"]), ("task_template", f"p {name}")]
    assert await list_dependents(client, path) == found


async def test_an_mcp_server(client: Client, name: str) -> None:
    path = (await make(client, "/mcp-servers", name=name, **SERVER))["_links"]["self"]
    servers = {"inline": SERVER, "one": {"ref": name}}
    task = await make_task(client, name=name, sdk_options={"mcp_servers": servers})
    await make_task(client, name=f"{name} other")
    assert await list_dependents(client, path) == [("task", task["name"])]


async def test_a_secret(client: Client, name: str) -> None:
    path, longer = f"/api/v1/secrets/{name}", f"/api/v1/secrets/{name}.b"
    for one in (path, longer):
        value = {"value": "whsec_" + "a" * 32, "hosts": ["mcp.example.com"]}
        assert (await client.put(one, json=value)).status_code == 201
    headers = {"Authorization": f"Bearer secret://{name}"}
    await make(client, "/mcp-servers", name=name, **SERVER, headers=headers)
    hook = {"url": "https://8.8.8.8/h", "secret_ref": name}
    await make_task(client, name=f"a {name}", notification_config={"webhooks": [hook]})
    inline = {"s": {**SERVER, "headers": headers}}
    await make_task(client, name=f"b {name}", sdk_options={"mcp_servers": inline})
    await make_task(client, name=f"c {name}")
    assert await list_dependents(client, longer) == []
    found = [("mcp_server", name), ("task", f"a {name}"), ("task", f"b {name}")]
    assert await list_dependents(client, path) == found
