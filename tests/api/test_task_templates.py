from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.ids import new_id
from persistence.tables.definitions import TaskTemplateRow
from tests.api.test_agents import make_agent
from tests.api.world import World, execute

Client = httpx2.AsyncClient

TEMPLATE: dict[str, Any] = {
    "description": "Watches something.",
    "parameters": [
        {"name": "repository", "description": "Which one to watch."},
        {"name": "tone", "default": "friendly"},
    ],
    "task": {
        "prompt_template": "Read {{ repository }} and list for {{ reader }} what is new.",
        "system_prompt": "Be {{ tone }}.",
        "allowed_tools": ["bash(git *)"],
        "sdk_options": {"max_turns": 5},
        "tags": ["watch"],
    },
}


async def make_template(client: Client, **changed: Any) -> dict[str, Any]:
    body = {**TEMPLATE, "name": f"watch {new_id()}", **changed}
    response = await client.post("/api/v1/task-templates", json=body)
    assert response.status_code == 201, response.text
    template: dict[str, Any] = response.json()
    return template


async def fill(client: Client, template: dict[str, Any], **body: Any) -> httpx2.Response:
    body = {"name": f"own {new_id()}", **body}
    return await client.post(template["_links"]["create_task"], json=body)


async def test_a_template_is_read_as_it_was_written(client: Client) -> None:
    template = await make_template(client)
    assert (await client.get(template["_links"]["self"])).json() == template
    assert template["task"] == TEMPLATE["task"]
    assert template["parameters"] == TEMPLATE["parameters"]
    listed = (await client.get("/api/v1/task-templates")).json()
    assert listed["items"][0] == template


async def test_a_task_is_made_with_parameters_and_overrides(client: Client) -> None:
    template = await make_template(client)
    response = await fill(
        client,
        template,
        name=(name := f"own {new_id()}"),
        parameters={"repository": "our {{ shop }}"},
        overrides={"tags": ["own"], "sdk_options": {}},
    )
    assert response.status_code == 201, response.text
    task = response.json()
    assert task["name"] == name
    assert task["prompt_template"] == "Read our {{ shop }} and list for {{ reader }} what is new."
    assert task["system_prompt"] == "Be friendly."
    assert (task["tags"], task["sdk_options"]) == (["own"], {})
    assert task["allowed_tools"] == ["bash(git *)"]
    assert response.headers["location"] == task["_links"]["self"]
    execution = await execute(client, task, variables={"reader": "Ada", "shop": "shop"})
    assert execution["task_id"] == task["id"]


async def test_a_repeated_request_makes_one_task(client: Client) -> None:
    template = await make_template(client)
    body = {"name": new_id().hex, "parameters": {"repository": "x"}}
    key = {"Idempotency-Key": str(new_id())}
    path = template["_links"]["create_task"]
    first, second = [await client.post(path, json=body, headers=key) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    taken = await client.post(path, json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_name")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["parameters", "repository"]),
        ({"parameters": {"repository": None}}, ["parameters", "repository"]),
        ({"parameters": {"repository": "x", "colour": "red"}}, ["parameters", "colour"]),
        ({"parameters": {"repository": "x"}, "overrides": {"tag": []}}, ["overrides", "tag"]),
        (
            {"parameters": {"repository": "x"}, "overrides": {"allowed_tools": ["ssh"]}},
            ["allowed_tools", 0],
        ),
        ({"parameters": {"repository": "x"}, "overrides": {"sdk_options": None}}, ["sdk_options"]),
        ({"parameters": {"repository": "x"}, "name": ""}, ["name"]),
    ],
)
async def test_what_does_not_fit_is_named(
    client: Client, body: dict[str, Any], where: list[str | int]
) -> None:
    response = await fill(client, await make_template(client), **body)
    assert response.status_code == 422, response.text
    located = [error["loc"][: len(where) + 1] for error in response.json()["errors"]]
    assert ["body", *where] in located


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"task": {}}, ["task", "prompt_template"]),
        ({"task": {"prompt_template": "x", "name": "y"}}, ["task", "name"]),
        ({"task": {"prompt_template": "no placeholder"}}, ["parameters", 0, "name"]),
        ({"parameters": [{"name": "repository"}] * 2}, ["parameters", 1, "name"]),
        ({"parameters": [{"name": "two words"}]}, ["parameters", 0, "name"]),
        (
            {"parameters": [], "task": {"prompt_template": "x", "allowed_tools": ["ssh"]}},
            ["allowed_tools", 0],
        ),
    ],
)
async def test_the_refusal_names_the_wrong_field(
    client: Client, change: dict[str, Any], where: list[str | int]
) -> None:
    response = await client.post("/api/v1/task-templates", json={**TEMPLATE, "name": "x", **change})
    assert response.status_code == 422, response.text
    located = [error["loc"][: len(where) + 1] for error in response.json()["errors"]]
    assert ["body", *where] in located


async def test_a_value_cannot_flood_the_gateway(client: Client) -> None:
    task = {"prompt_template": "{{ repository }}" * 2_000, "system_prompt": "{{ tone }}"}
    template = await make_template(client, task=task)
    response = await fill(client, template, parameters={"repository": "x" * 100_000})
    assert response.status_code == 422
    made = (await fill(client, template, parameters={"repository": "{{ a }}"})).json()
    for action in ("dry_run", "execute"):
        body = {"variables": {"a": "x" * 100_000}}
        refused = await client.post(made["_links"][action], json=body)
        assert refused.status_code == 422, action
        assert refused.json()["errors"][0]["loc"] == ["body", "variables"]


async def test_public_templates_are_read_and_used_by_all(client: Client, other: Client) -> None:
    template = await make_template(client)
    path = template["_links"]["self"]
    filling = {"name": "x", "parameters": {"repository": "x"}}
    for refused in (
        await other.get(path),
        await other.post(template["_links"]["create_task"], json=filling),
        await other.patch(path, json={"name": "own"}),
        await other.delete(path),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    await client.patch(path, json={"is_public": True})
    assert (await other.get(path)).status_code == 200
    listed = (await other.get("/api/v1/task-templates")).json()["items"]
    assert template["id"] in [item["id"] for item in listed]
    task = (await fill(other, template, parameters={"repository": "x"})).json()
    assert task["user_id"] != template["user_id"]
    assert (await other.patch(path, json={"name": "own"})).status_code == 403
    assert (await other.delete(path)).status_code == 403


async def test_a_public_template_cannot_configure_notifications(client: Client) -> None:
    notified = {"slack": [{"url": "https://hooks.slack.com/services/SECRET"}]}
    task = {**TEMPLATE["task"], "notification_config": notified}
    template = await make_template(client, task=task)
    body = {**TEMPLATE, "task": task, "name": "x", "is_public": True}
    created = await client.post("/api/v1/task-templates", json=body)
    shared = await client.patch(template["_links"]["self"], json={"is_public": True})
    for refused in (created, shared):
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["loc"] == ["body", "task", "notification_config"]


async def test_a_large_template_cannot_be_made_public(client: Client) -> None:
    large = {**TEMPLATE["task"], "system_prompt": "Be {{ tone }}." + "x" * 300_000}
    template = await make_template(client, task=large)
    shared = await client.patch(template["_links"]["self"], json={"is_public": True})
    assert shared.status_code == 422
    assert shared.json()["errors"][0]["loc"] == ["body", "is_public"]


async def test_a_template_grants_no_admin_rights(client: Client, admin: Client) -> None:
    task = {**TEMPLATE["task"], "sdk_options": {"permission_mode": "bypassPermissions"}}
    refused = await client.post(
        "/api/v1/task-templates", json={**TEMPLATE, "task": task, "name": "x"}
    )
    assert refused.status_code == 403
    body = {**TEMPLATE, "task": task, "name": "x", "is_public": True}
    shared = await admin.post("/api/v1/task-templates", json=body)
    assert shared.status_code == 422
    where = ["body", "task", "sdk_options", "permission_mode"]
    assert [error["loc"] for error in shared.json()["errors"]] == [where]


OWNERS_FIELDS: dict[str, Any] = {
    "human_input_policy": {"assignee": "tester", "mode": "wait"},
    "is_public": True,
    "is_scheduled": True,
    "schedule_cron": "* * * * *",
    "schedule_enabled": True,
    "schedule_timezone": "Europe/Berlin",
    "schedule_jitter_seconds": 60,
}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        *(
            ({field: value}, [field])
            for field, value in OWNERS_FIELDS.items()
            if "sch" not in field
        ),
        ({"schedule_cron": "* * * * *"}, ["schedule_cron"]),
        ({"schedule_overlap_policy": "buffer_all"}, ["schedule_overlap_policy"]),
        (
            {"sdk_options": {"mcp_servers": {"x": {"command": "x"}}}},
            ["sdk_options", "mcp_servers", "x"],
        ),
        ({"working_directory_path": "/srv"}, ["working_directory_path"]),
    ],
)
async def test_a_public_template_decides_nothing_for_other_users(
    admin: Client, fields: dict[str, Any], where: list[str]
) -> None:
    task = {**TEMPLATE["task"], **fields}
    body = {**TEMPLATE, "task": task, "name": f"x {new_id()}", "is_public": True}
    refused = await admin.post("/api/v1/task-templates", json=body)
    assert refused.status_code == 422
    if where[0] == "human_input_policy":
        where = [*where, "assignee"]
    assert ["body", "task", *where] in [e["loc"] for e in refused.json()["errors"]]


async def test_a_template_of_an_earlier_version_decides_nothing_for_other_users(
    world: World, client: Client, other: Client
) -> None:
    task = {**TEMPLATE["task"], **OWNERS_FIELDS}
    template = await make_template(client, task=task)
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(TaskTemplateRow, UUID(template["id"]))
        row.is_public = True
    made = (await fill(other, template, parameters={"repository": "x"})).json()
    assert (made["is_public"], made["is_scheduled"], made["schedule_cron"]) == (False, False, None)
    assert made["schedule_enabled"] is False
    assert made["human_input_policy"] == {"mode": "wait"}
    own = (await fill(client, template, parameters={"repository": "x"})).json()
    assert (own["is_public"], own["schedule_cron"]) == (True, "* * * * *")
    assert own["human_input_policy"]["assignee"] == "tester"


async def test_a_template_is_changed_under_its_tag_and_deleted(client: Client) -> None:
    template = await make_template(client)
    path = template["_links"]["self"]
    tag = {"If-Match": (await client.get(path)).headers["etag"]}
    changed = await client.patch(path, json={"name": f"new {new_id()}"}, headers=tag)
    assert changed.status_code == 200
    assert changed.json()["task"] == template["task"]
    assert (await client.patch(path, json={"name": "x"}, headers=tag)).status_code == 412
    made = (await fill(client, template, parameters={"repository": "x"})).json()
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.get(made["_links"]["self"])).status_code == 200


async def test_a_template_that_names_a_deleted_agent_can_still_be_changed(client: Client) -> None:
    agent = await make_agent(client)
    body = {**TEMPLATE["task"], "agent_id": agent["agent_id"]}
    template = await make_template(client, task=body)
    assert (await client.delete(agent["_links"]["self"])).status_code == 200
    path = template["_links"]["self"]
    changed = await client.patch(path, json={"description": "Other."})
    assert changed.json()["description"] == "Other."
    refused = await client.patch(path, json={"task": {**body, "agent_id": "unknown-agent"}})
    assert refused.status_code == 422
