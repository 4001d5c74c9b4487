"""The field `memory`: validated, with warnings, and never passed on to other users."""

from typing import Any

import httpx2
import pytest

from domain.ids import new_id
from tests.api.factories import PROMPT
from tests.api.world import TASK, make_task

Client = httpx2.AsyncClient


def memory(*namespaces: str) -> dict[str, Any]:
    return {"namespaces": [{"namespace": name, "mode": "write"} for name in namespaces]}


async def test_a_task_keeps_its_namespaces(client: Client) -> None:
    task = await make_task(client, memory={"namespaces": [{"namespace": "project:x"}]})
    assert task["memory"] == {"namespaces": [{"namespace": "project:x", "mode": "read"}]}
    changed = await client.patch(task["_links"]["self"], json={"memory": None})
    assert changed.json()["memory"] is None


@pytest.mark.parametrize(("path", "body"), [("tasks", TASK), ("task-executions", PROMPT)])
async def test_what_is_no_namespace_is_refused(
    client: Client, path: str, body: dict[str, Any]
) -> None:
    name = {"name": new_id().hex} if path == "tasks" else {}
    wrong = {**body, **name, "memory": memory("project:x", "project")}
    refused = await client.post(f"/api/v1/{path}", json=wrong)
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["loc"] == ["body", "memory", "namespaces", 1, "namespace"]
    assert "Join at least two parts" in error["msg"]


async def test_nothing_public_uses_memory(client: Client) -> None:
    task = await make_task(client, memory=memory("project:x"))
    refused = await client.patch(task["_links"]["self"], json={"is_public": True})
    assert refused.json()["errors"][0]["loc"] == ["body", "memory"]
    given = {"prompt_template": "Go.", "memory": memory("project:x")}
    template = {"name": new_id().hex, "is_public": True, "task": given}
    refused = await client.post("/api/v1/task-templates", json=template)
    assert refused.json()["errors"][0]["loc"] == ["body", "task", "memory"]


async def test_a_memory_tool_without_namespaces_has_a_warning(client: Client) -> None:
    task = await make_task(client, allowed_tools=["bash", "web_fetch", "memory_get"])
    web, remembered = task["warnings"]
    assert "no network: web_fetch." in web
    assert "no memory: memory_get." in remembered
    dry = (await client.post(task["_links"]["dry_run"], json={})).json()
    assert [tool["tool"] for tool in dry["tools"]] == ["bash"]
    await client.patch(task["_links"]["self"], json={"memory": memory("project:x")})
    dry = (await client.post(task["_links"]["dry_run"], json={})).json()
    assert [tool["tool"] for tool in dry["tools"]] == ["bash", "memory_get"]
