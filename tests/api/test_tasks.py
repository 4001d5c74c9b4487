import asyncio
from typing import Any

import httpx2
import pytest

from domain.ids import new_id
from tests.api.test_agents import make_agent
from tests.api.world import TASK, World, execute, make_task

Client = httpx2.AsyncClient


async def test_a_task_is_read_as_it_was_written(client: Client) -> None:
    task = await make_task(client, tags=["a", "b"])
    response = await client.get(task["_links"]["self"])
    assert response.status_code == 200
    assert response.json() == task
    assert task["version"] == 1
    assert task["tags"] == ["a", "b"]
    assert task["sdk_options"] == TASK["sdk_options"]
    assert task["allowed_tools"] == ["read_file"]
    assert task["schedule_timezone"] == "UTC"
    assert task["schedule_overlap_policy"] == "skip"
    assert not task["is_deleted"]
    assert task["created_at"].endswith("Z")
    assert set(task["_links"]) == {
        "self",
        "execute",
        "executions",
        "schedule",
        "versions",
        "remembered_decisions",
        "dry_run",
        "hooks",
    }


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": "x" * 256}, ["name"]),
        ({"prompt_template": ""}, ["prompt_template"]),
        ({"prompt_template": 5}, ["prompt_template"]),
        ({"prompt_templat": "x"}, ["prompt_templat"]),
        ({"allowed_tools": None}, ["allowed_tools"]),
        ({"allowed_tools": ["ssh"]}, ["allowed_tools", 0]),
        ({"sdk_options": {"modle": "x"}}, ["sdk_options", "modle"]),
        ({"sdk_options": {"max_turns": "5"}}, ["sdk_options", "max_turns"]),
        ({"sdk_options": {"max_budget_usd": 0.0000001}}, ["sdk_options", "max_budget_usd"]),
        ({"sdk_options": {"max_budget_usd": "1"}}, ["sdk_options", "max_budget_usd"]),
        ({"sdk_options": {"max_budget_usd": True}}, ["sdk_options", "max_budget_usd"]),
        ({"sdk_options": {"thinking": {"type": "enabld"}}}, ["sdk_options", "thinking", "type"]),
        (
            {"sdk_options": {"thinking": {"type": "enabled", "budget_tokens": 9}, "max_tokens": 9}},
            ["sdk_options", "thinking", "budget_tokens"],
        ),
        (
            {"sdk_options": {"model": "who-knows", "max_budget_usd": 1}},
            ["sdk_options", "max_budget_usd"],
        ),
        ({"sdk_options": {"output_schema": {"type": "strin"}}}, ["sdk_options", "output_schema"]),
        ({"variables_schema": {"type": 5}}, ["variables_schema"]),
        ({"is_public": 1}, ["is_public"]),
        ({"is_scheduled": True}, ["schedule_cron"]),
        ({"schedule_cron": "0 9 * *"}, ["schedule_cron"]),
        ({"schedule_cron": "0 9 31 2 *"}, ["schedule_cron"]),
        ({"schedule_timezone": "Europe/Atlantis"}, ["schedule_timezone"]),
        ({"schedule_timezone": "../etc/passwd"}, ["schedule_timezone"]),
        ({"schedule_overlap_policy": "sometimes"}, ["schedule_overlap_policy"]),
        ({"generate_report": True}, ["report_format"]),
        ({"generate_report": True, "report_format": "docx"}, ["report_format"]),
        ({"human_input_policy": {"mode": "maybe"}}, ["human_input_policy", "mode"]),
        (
            {"human_input_policy": {"due_seconds": 60, "on_expiry": "default"}},
            ["human_input_policy", "default_answer"],
        ),
        ({"tags": ["x" * 65]}, ["tags", 0]),
        ({"is_public": True, "working_directory_path": "src"}, ["working_directory_path"]),
        (
            {"is_public": True, "sdk_options": {"mcp_servers": {"x": {"command": "sh"}}}},
            ["sdk_options", "mcp_servers", "x"],
        ),
        ({"description": "a\0b"}, ["description"]),
        ({"agent_id": "x" * 3000}, ["agent_id"]),
        ({"default_variables": {"x": ["\0"]}}, ["default_variables", "x", 0]),
    ],
)
async def test_the_refusal_names_the_wrong_field(
    client: Client, change: dict[str, Any], where: list[str | int]
) -> None:
    response = await client.post("/api/v1/tasks", json={**TASK, **change})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "invalid_input"
    assert problem["request_id"] == response.headers["x-request-id"]
    located = [error["loc"][: len(where) + 1] for error in problem["errors"]]
    assert ["body", *where] in located, problem
    assert all(error["msg"] for error in problem["errors"])


async def test_required_fields_are_required(client: Client) -> None:
    response = await client.post("/api/v1/tasks", json={"name": "x"})
    missing = {error["loc"][-1] for error in response.json()["errors"]}
    assert missing == {"prompt_template"}


async def test_the_refusal_of_a_misspelt_field_names_it(client: Client) -> None:
    response = await client.post("/api/v1/tasks", json={**TASK, "sdk_options": {"max_turn": 3}})
    assert "max_turns" in response.json()["errors"][0]["msg"]


async def test_names_are_unique_among_the_live_tasks_of_a_user(
    client: Client, other: Client
) -> None:
    task = await make_task(client)
    again = {**TASK, "name": task["name"]}
    response = await client.post("/api/v1/tasks", json=again)
    assert (response.status_code, response.json()["code"]) == (409, "duplicate_name")
    assert (await other.post("/api/v1/tasks", json=again)).status_code == 201
    renamed = await make_task(client)
    response = await client.patch(renamed["_links"]["self"], json={"name": task["name"]})
    assert response.json()["code"] == "duplicate_name"
    assert (await client.delete(task["_links"]["self"])).status_code == 204
    assert (await client.post("/api/v1/tasks", json=again)).status_code == 201


async def test_a_patch_changes_what_it_names_and_nothing_else(client: Client) -> None:
    task = await make_task(client, description="old", report_format="html")
    response = await client.patch(
        task["_links"]["self"], json={"description": None, "is_active": False}
    )
    assert response.status_code == 200
    changed = response.json()
    touched = {"description": None, "is_active": False, "updated_at": changed["updated_at"]}
    assert changed == {**task, **touched}
    assert changed["version"] == 1
    response = await client.patch(task["_links"]["self"], json={"prompt_template": "New."})
    assert response.json()["version"] == 2
    assert response.json()["report_format"] == "html"


@pytest.mark.parametrize(
    "change", [{"name": None}, {"sdk_options": None}, {"is_scheduled": True}, {"id": "x"}]
)
async def test_a_bad_patch_changes_nothing(client: Client, change: dict[str, Any]) -> None:
    task = await make_task(client)
    response = await client.patch(task["_links"]["self"], json=change)
    assert response.status_code == 422
    assert response.json()["errors"]
    assert (await client.get(task["_links"]["self"])).json() == task


async def test_if_match_guards_changes(client: Client) -> None:
    task = await make_task(client)
    path = task["_links"]["self"]
    tag = (await client.get(path)).headers["etag"]
    changed = await client.patch(path, json={"tags": ["x"]}, headers={"If-Match": tag})
    assert changed.status_code == 200
    stale = await client.patch(path, json={"tags": ["y"]}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    stale = await client.delete(path, headers={"If-Match": tag})
    assert stale.status_code == 412
    malformed = await client.delete(path, headers={"If-Match": "nonsense"})
    assert malformed.status_code == 400
    fresh = {"If-Match": changed.headers["etag"]}
    assert (await client.get(path, headers={"If-None-Match": fresh["If-Match"]})).status_code == 304
    assert (await client.delete(path, headers=fresh)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404


async def test_of_concurrent_changes_each_sees_the_one_before(client: Client) -> None:
    task = await make_task(client)
    path = task["_links"]["self"]
    answers = await asyncio.gather(
        *(client.patch(path, json={"prompt_template": f"Try {i}."}) for i in range(8))
    )
    assert {a.status_code for a in answers} == {200}
    assert sorted(a.json()["version"] for a in answers) == list(range(2, 10))


async def test_others_see_a_task_only_when_it_is_public(client: Client, other: Client) -> None:
    task = await make_task(client)
    path = task["_links"]["self"]
    for refused in (
        await other.get(path),
        await other.post(f"{path}/execute"),
        await other.patch(path, json={"name": "own"}),
        await other.delete(path),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    await client.patch(path, json={"is_public": True})
    assert (await other.get(path)).status_code == 200
    assert (await other.post(f"{path}/execute")).status_code == 202
    assert (await other.patch(path, json={"name": "own"})).status_code == 403
    names = [t["name"] for t in (await other.get("/api/v1/tasks")).json()["items"]]
    assert task["name"] in names


async def test_bypassing_permissions_takes_an_admin(client: Client, admin: Client) -> None:
    body = {**TASK, "name": new_id().hex, "sdk_options": {"permission_mode": "bypassPermissions"}}
    assert (await client.post("/api/v1/tasks", json=body)).status_code == 403
    assert (await admin.post("/api/v1/tasks", json=body)).status_code == 201


@pytest.mark.parametrize(
    "options",
    [
        {"permission_mode": "bypassPermissions"},
        {"mcp_servers": {"local": {"command": "server"}}},
    ],
    ids=["bypass", "command"],
)
async def test_what_takes_an_admin_does_not_run_for_a_former_one(
    world: World, options: dict[str, Any]
) -> None:
    async with world.client("chief", role="admin") as chief:
        task = await make_task(chief, sdk_options=options)
        await execute(chief, task)
    async with world.client("chief") as former:
        for path in (task["_links"]["execute"], f"{task['_links']['self']}/dry-run"):
            refused = await former.post(path, json={})
            assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        changed = await former.patch(task["_links"]["self"], json={"sdk_options": {}})
        assert changed.status_code == 200
        await execute(former, task)
    async with world.client("chief", role="admin") as chief:
        await chief.patch(task["_links"]["self"], json={"sdk_options": options})
        await execute(chief, task)


async def test_tasks_are_found_by_their_filters(client: Client) -> None:
    mark = str(new_id())
    await make_task(client, tags=[mark, "red"], description=f"100% {mark}")
    blue = await make_task(client, tags=[mark, "blue"], is_active=False)
    scheduled = await make_task(client, tags=[mark], is_scheduled=True, schedule_cron="0 9 * * 1-5")

    async def names(query: str) -> list[str]:
        response = await client.get(f"/api/v1/tasks?{query}")
        assert response.status_code == 200, response.text
        return [task["name"] for task in response.json()["items"]]

    assert len(await names(f"tags={mark}")) == 3
    assert await names(f"tags={mark}&tags=blue") == [blue["name"]]
    assert await names(f"tags={mark},blue") == [blue["name"]]
    assert await names(f"tags={mark}&is_active=false") == [blue["name"]]
    assert await names(f"tags={mark}&is_scheduled=true") == [scheduled["name"]]
    assert len(await names(f"q=100%25+{mark[:8]}")) == 1
    assert await names(f"q=100_+{mark[:8]}") == []
    unknown = await client.get("/api/v1/tasks?colour=red")
    assert unknown.status_code == 422


async def test_a_prompt_of_five_megabytes_is_kept(client: Client) -> None:
    prompt = "é" * (5 * 1024 * 1024 // 2)
    task = await make_task(client, prompt_template=prompt)
    read = await client.get(task["_links"]["self"])
    assert read.json()["prompt_template"] == prompt


async def test_a_task_that_names_a_deleted_agent_can_still_be_reduced(client: Client) -> None:
    agent = await make_agent(client)
    schedule = {"is_scheduled": True, "schedule_enabled": True, "schedule_cron": "0 9 * * *"}
    task = await make_task(client, agent_id=agent["agent_id"], **schedule)
    path = task["_links"]["self"]
    assert (await client.delete(agent["_links"]["self"])).status_code == 200
    for change in (
        {"schedule_cron": "0 10 * * *"},
        {"prompt_template": "Do {{ other }}."},
        {"is_scheduled": False},
        {"is_public": False},
    ):
        changed = await client.patch(path, json=change)
        assert changed.status_code == 200, changed.text
    refused = await client.patch(path, json={"agent_id": f"{agent['agent_id']}-too"})
    assert refused.json()["errors"][0]["loc"] == ["body", "agent_id"]
    refused = await client.patch(path, json={"is_public": True})
    assert refused.json()["errors"][0]["loc"] == ["body", "agent_id"]
    repaired = await client.patch(path, json={"agent_id": None})
    assert repaired.json()["agent_id"] is None


async def test_a_task_that_names_a_deleted_secret_can_still_be_reduced(client: Client) -> None:
    name = f"hook-{new_id().hex}"
    secret = {"value": "whsec_" + "A" * 44}
    assert (await client.put(f"/api/v1/secrets/{name}", json=secret)).is_success
    webhook = {"url": "https://example.com/hook", "secret_ref": name}
    task = await make_task(client, is_public=True, notification_config={"webhooks": [webhook]})
    assert (await client.delete(f"/api/v1/secrets/{name}")).status_code == 200
    changed = await client.patch(task["_links"]["self"], json={"is_public": False})
    assert (changed.status_code, changed.json().get("is_public")) == (200, False), changed.text
