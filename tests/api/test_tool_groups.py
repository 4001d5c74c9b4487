from typing import Any

import httpx2
import pytest

from domain.ids import new_id
from tests.api.world import TASK, execute, make_task

Client = httpx2.AsyncClient


async def make_group(client: Client, *tools: str, **changed: Any) -> dict[str, Any]:
    body = {"name": f"reading-{new_id().hex}", "tools": list(tools), **changed}
    response = await client.post("/api/v1/tool-groups", json=body)
    assert response.status_code == 201, response.text
    group: dict[str, Any] = response.json()
    return group


async def newest_rules(client: Client, task: dict[str, Any]) -> list[str]:
    versions = (await client.get(task["_links"]["versions"])).json()
    rules: list[str] = versions["items"][0]["definition"]["allowed_tools"]
    return rules


async def test_a_group_is_read_as_it_was_written(client: Client) -> None:
    group = await make_group(client, "read_file", "bash(git *)", description="looking")
    assert (await client.get(group["_links"]["self"])).json() == group
    assert group["tools"] == ["read_file", "bash(git *)"]
    assert group["rule"] == f"group:{group['name']}"
    listed = (await client.get("/api/v1/tool-groups")).json()
    assert listed["items"][0] == group


async def test_a_task_keeps_its_spelling_and_its_version_the_rules(client: Client) -> None:
    group = await make_group(client, "read_file", "list_files")
    sent = ["bash(ls *)", group["rule"], "read_file"]
    task = await make_task(client, allowed_tools=sent, ask_tools=["write_file"])
    assert task["allowed_tools"] == sent
    assert (await client.get(task["_links"]["self"])).json()["allowed_tools"] == sent
    assert await newest_rules(client, task) == ["bash(ls *)", "read_file", "list_files"]
    result = (await client.post(task["_links"]["dry_run"])).json()
    assert [tool["tool"] for tool in result["tools"]] == [
        "bash",
        "list_files",
        "read_file",
        "write_file",
    ]


async def test_a_changed_group_reaches_a_task_when_its_list_is_written_again(
    client: Client,
) -> None:
    group = await make_group(client, "read_file")
    task = await make_task(client, allowed_tools=[group["rule"]])
    await client.patch(group["_links"]["self"], json={"tools": ["read_file", "bash"]})
    changed = await client.patch(task["_links"]["self"], json={"description": "the same"})
    assert (changed.json()["version"], changed.json()["allowed_tools"]) == (1, [group["rule"]])
    changed = await client.patch(task["_links"]["self"], json={"prompt_template": "New."})
    assert await newest_rules(client, task) == ["read_file"]
    changed = await client.patch(task["_links"]["self"], json={"allowed_tools": [group["rule"]]})
    assert changed.json()["version"] == 3
    assert await newest_rules(client, task) == ["read_file", "bash"]
    changed = await client.patch(task["_links"]["self"], json={"allowed_tools": ["read_file"]})
    assert changed.json()["allowed_tools"] == ["read_file"]


async def test_a_deleted_group_leaves_its_rules_behind(client: Client) -> None:
    group = await make_group(client, "read_file")
    task = await make_task(client, allowed_tools=[group["rule"]])
    assert (await client.delete(group["_links"]["self"])).status_code == 204
    assert (await client.get(group["_links"]["self"])).status_code == 404
    await execute(client, task)
    again = await client.patch(task["_links"]["self"], json={"ask_tools": ["bash", group["rule"]]})
    assert again.status_code == 422
    assert again.json()["errors"][0]["loc"] == ["body", "ask_tools", 1]


async def test_groups_of_others_mean_nothing(client: Client, other: Client) -> None:
    group = await make_group(client, "read_file")
    body = {**TASK, "allowed_tools": [group["rule"]]}
    assert (await other.post("/api/v1/tasks", json=body)).status_code == 422
    for refused in (
        await other.get(group["_links"]["self"]),
        await other.patch(group["_links"]["self"], json={"tools": []}),
        await other.delete(group["_links"]["self"]),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    duplicate = {"name": group["name"], "tools": []}
    taken = await client.post("/api/v1/tool-groups", json=duplicate)
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_name")
    assert (await other.post("/api/v1/tool-groups", json=duplicate)).status_code == 201


async def test_ad_hoc_work_may_name_groups_too(client: Client) -> None:
    group = await make_group(client, "read_file")
    body = {"prompt": "Look around.", "allowed_tools": [group["rule"]]}
    response = await client.post("/api/v1/task-executions", json=body)
    assert response.status_code == 202, response.text
    body["allowed_tools"] = ["group:none"]
    assert (await client.post("/api/v1/task-executions", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": "Two Words"}, ["name"]),
        ({"tools": ["ssh"]}, ["tools", 0]),
        ({"tools": ["read_file", "group:other"]}, ["tools", 1]),
        ({"tools": None}, ["tools"]),
        ({"colour": "red"}, ["colour"]),
    ],
)
async def test_what_is_wrong_is_named(
    client: Client, change: dict[str, Any], where: list[str | int]
) -> None:
    body = {"name": "reading", "tools": ["read_file"], **change}
    response = await client.post("/api/v1/tool-groups", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", *where]


async def test_if_match_guards_changes(client: Client) -> None:
    group = await make_group(client, "read_file")
    path = group["_links"]["self"]
    tag = {"If-Match": (await client.get(path)).headers["etag"]}
    assert (await client.patch(path, json={"tools": []}, headers=tag)).status_code == 200
    assert (await client.patch(path, json={"tools": []}, headers=tag)).status_code == 412
    assert (await client.delete(path, headers=tag)).status_code == 412
