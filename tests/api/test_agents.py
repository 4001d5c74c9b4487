from typing import Any

import httpx2
import pytest

from agent_library.built_in import load_built_in_agents
from domain.ids import new_id
from tests.api.world import TASK, World, make_task

Client = httpx2.AsyncClient

AGENT = {
    "name": "Poet",
    "description": "Writes verse.",
    "system_prompt": "You write in rhyme.",
    "model": "claude-haiku-5-5",
    "allowed_tools": ["read_file", "bash(ls *)"],
    "capabilities": ["rhyme"],
    "tags": ["art"],
}


def slug() -> str:
    return f"poet-{new_id().hex}"


async def make_agent(client: Client, **changed: Any) -> dict[str, Any]:
    body = {**AGENT, "agent_id": slug(), **changed}
    response = await client.post("/api/v1/agents", json=body)
    assert response.status_code == 201, response.text
    agent: dict[str, Any] = response.json()
    return agent


async def test_an_agent_is_read_as_it_was_written(client: Client) -> None:
    agent = await make_agent(client)
    response = await client.get(agent["_links"]["self"])
    assert response.json() == agent
    assert {field: agent[field] for field in AGENT} == AGENT
    assert not agent["is_builtin"]
    assert agent["executor"] == "claude"


async def test_every_user_sees_the_ten_built_in_agents(client: Client, other: Client) -> None:
    for who in (client, other):
        page = (await who.get("/api/v1/agents?is_builtin=true")).json()
        assert [agent["agent_id"] for agent in page["items"]] == list(load_built_in_agents())
        assert page["total"] == 10
    reviewer = (await client.get("/api/v1/agents/reviewer")).json()
    assert reviewer["is_builtin"]
    assert reviewer["system_prompt"] == load_built_in_agents()["reviewer"].system_prompt
    assert reviewer["_links"]["self"] == "/api/v1/agents/reviewer"


@pytest.mark.parametrize("page_size", [1, 3, 5, 100])
async def test_pages_contain_own_agents_before_built_in_ones(world: World, page_size: int) -> None:
    async with world.client(f"pager-{page_size}") as client:
        made = [(await make_agent(client))["agent_id"] for _ in range(3)]
        whole = [*reversed(made), *load_built_in_agents()]
        by_cursor: list[str] = []
        address: str | None = f"/api/v1/agents?page_size={page_size}"
        while address:
            page = (await client.get(address)).json()
            assert page["total"] == 13
            by_cursor += [agent["agent_id"] for agent in page["items"]]
            address = page["_links"].get("next")
        assert by_cursor == whole
        by_number: list[str] = []
        for number in range(1, 15):
            address = f"/api/v1/agents?page_size={page_size}&page={number}"
            by_number += [a["agent_id"] for a in (await client.get(address)).json()["items"]]
        assert by_number == whole
        own = (await client.get("/api/v1/agents?is_builtin=false")).json()
        assert [agent["agent_id"] for agent in own["items"]] == whole[:3]


async def test_built_in_ones_stay_as_they_are(client: Client, admin: Client) -> None:
    for who in (client, admin):
        changed = await who.patch("/api/v1/agents/tester", json={"name": "Changed"})
        assert (changed.status_code, changed.json()["code"]) == (409, "conflict")
        assert (await who.delete("/api/v1/agents/tester")).status_code == 409
    taken = await client.post("/api/v1/agents", json={**AGENT, "agent_id": "tester"})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_name")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"agent_id": "Not A Slug"}, ["agent_id"]),
        ({"agent_id": "a" * 101}, ["agent_id"]),
        ({"system_prompt": " "}, ["system_prompt"]),
        ({"allowed_tools": ["ssh"]}, ["allowed_tools", 0]),
        ({"executor": "robot"}, ["executor"]),
        ({"capabilities": [""]}, ["capabilities", 0]),
        ({"sytem_prompt": "x"}, ["sytem_prompt"]),
    ],
)
async def test_the_refusal_names_the_wrong_field(
    client: Client, change: dict[str, Any], where: list[str | int]
) -> None:
    response = await client.post("/api/v1/agents", json={**AGENT, "agent_id": slug(), **change})
    assert response.status_code == 422
    located = [error["loc"][: len(where) + 1] for error in response.json()["errors"]]
    assert ["body", *where] in located


async def test_an_agent_is_changed_under_its_tag_and_deleted(client: Client) -> None:
    agent = await make_agent(client)
    path = agent["_links"]["self"]
    tag = (await client.get(path)).headers["etag"]
    changed = await client.patch(path, json={"model": None}, headers={"If-Match": tag})
    assert changed.json() == {**agent, "model": None, "updated_at": changed.json()["updated_at"]}
    stale = await client.patch(path, json={"name": "x"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    bad = await client.patch(path, json={"system_prompt": None})
    assert bad.json()["errors"][0]["loc"] == ["body", "system_prompt"]
    assert (await client.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    again = await client.post("/api/v1/agents", json={**AGENT, "agent_id": agent["agent_id"]})
    assert again.status_code == 201


async def test_a_slug_is_a_users_own(client: Client, other: Client) -> None:
    agent = await make_agent(client)
    body = {**AGENT, "agent_id": agent["agent_id"]}
    taken = await client.post("/api/v1/agents", json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_name")
    assert (await other.get(agent["_links"]["self"])).status_code == 404
    assert (await other.post("/api/v1/agents", json=body)).status_code == 201
    await other.delete(agent["_links"]["self"])
    assert (await client.get(agent["_links"]["self"])).status_code == 200


async def test_a_task_names_an_agent_there_is(client: Client, other: Client) -> None:
    agent = await make_agent(client)
    task = await make_task(client, agent_id=agent["agent_id"])
    assert task["agent_id"] == agent["agent_id"]
    assert (await make_task(client, agent_id="reviewer"))["agent_id"] == "reviewer"
    misspelt = await client.post("/api/v1/tasks", json={**TASK, "agent_id": "reviewr"})
    assert misspelt.status_code == 422
    (problem,) = misspelt.json()["errors"]
    assert problem["loc"] == ["body", "agent_id"]
    assert "'reviewer'" in problem["msg"]
    others = await other.post("/api/v1/tasks", json={**TASK, "agent_id": agent["agent_id"]})
    assert others.status_code == 422


async def test_an_execution_needs_its_agent_still(client: Client) -> None:
    agent = await make_agent(client)
    task = await make_task(client, agent_id=agent["agent_id"])
    await client.delete(agent["_links"]["self"])
    refused = await client.post(task["_links"]["execute"])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "agent_id"]


async def test_a_public_task_names_no_agent_that_others_lack(client: Client) -> None:
    agent = await make_agent(client)
    task = await make_task(client, agent_id=agent["agent_id"])
    shared = await client.patch(task["_links"]["self"], json={"is_public": True})
    assert shared.json()["errors"][0]["loc"] == ["body", "agent_id"]
    await client.patch(task["_links"]["self"], json={"agent_id": "tester"})
    shared = await client.patch(task["_links"]["self"], json={"is_public": True})
    assert shared.status_code == 200


async def test_a_budget_needs_the_price_of_the_agents_model(client: Client) -> None:
    agent = await make_agent(client, model="who-knows")
    body = {**TASK, "agent_id": agent["agent_id"], "sdk_options": {"max_budget_usd": 1}}
    refused = await client.post("/api/v1/tasks", json=body)
    assert refused.json()["errors"][0]["loc"] == ["body", "sdk_options", "max_budget_usd"]


FILE = """\
---
name: Code Poet
description: Use this agent for verse about code
tools: Read, Grep, Bash(git:*), NotebookEdit, mcp__github__search
model: sonnet
color: purple
---

You write verse.

Four lines at most.
"""


async def test_an_agents_file_is_translated(client: Client) -> None:
    response = await client.post("/api/v1/agents/import", json={"markdown": FILE})
    assert response.status_code == 201, response.text
    agent = response.json()
    assert agent["agent_id"] == "code-poet"
    assert agent["name"] == "Code Poet"
    assert agent["model"] == "claude-sonnet-5-5"
    assert agent["allowed_tools"] == [
        "read_file",
        "search_files",
        "bash(git *)",
        "mcp__github__search",
    ]
    assert agent["system_prompt"] == "You write verse.\n\nFour lines at most."
    assert agent["ignored"] == ["color", "tools: NotebookEdit"]
    again = await client.post("/api/v1/agents/import", json={"markdown": FILE})
    assert again.json()["code"] == "duplicate_name"
    changed = FILE.replace("Four", "Two")
    body = {"markdown": changed, "replace": True}
    replaced = await client.post("/api/v1/agents/import", json=body)
    assert replaced.status_code == 200
    assert "Two lines" in (await client.get("/api/v1/agents/code-poet")).json()["system_prompt"]


@pytest.mark.parametrize(
    "markdown",
    [
        "no front matter",
        "---\n- a list\n---\ntext",
        "---\nname: [\n---\ntext",
        "---\nname: !!python/object/apply:os.system [ls]\n---\ntext",
        "---\ndescription: nameless\n---\ntext",
        "---\nname: x\n---\n",
        "---\nname: {a: b}\n---\ntext",
        "---\nname: x\ntools: {a: b}\n---\ntext",
        "---\nname: x\ntags: [[a]]\n---\ntext",
        "---\nname: x\nnote: " + "[" * 5000 + "\n---\ntext",
        "---\nname: x\nnote: " + "y" * 20_000 + "\n---\ntext",
    ],
)
async def test_a_file_that_defines_no_agent_is_refused(client: Client, markdown: str) -> None:
    response = await client.post("/api/v1/agents/import", json={"markdown": markdown})
    assert response.status_code == 422, response.text
    assert response.json()["errors"]


async def test_an_exported_agent_is_imported_unchanged(client: Client, other: Client) -> None:
    tools = ["bash(git log:*)", "mcp__github__*"]
    agent = await make_agent(client, model="opus", allowed_tools=tools, description="a: b\n# c")
    exported = await client.get(agent["_links"]["export"])
    assert exported.headers["content-type"] == "text/markdown; charset=utf-8"
    assert f"{agent['agent_id']}.md" in exported.headers["content-disposition"]
    body = {"markdown": exported.text}
    imported = (await other.post("/api/v1/agents/import", json=body)).json()
    assert {f: imported[f] for f in AGENT} == {f: agent[f] for f in AGENT}
    assert imported["ignored"] == []
    assert (await other.get(f"/api/v1/agents/{new_id().hex}/export")).status_code == 404


async def test_a_built_in_agent_is_exported(client: Client) -> None:
    exported = await client.get("/api/v1/agents/reviewer/export")
    assert exported.text.startswith("---\nagent_id: reviewer\nname: Reviewer\n")


async def test_an_exported_file_names_no_unknown_field(client: Client) -> None:
    markdown = "---\nformat: perdure\nagent_id: a\nname: A\nskills: x\n---\nb"
    refused = await client.post("/api/v1/agents/import", json={"markdown": markdown})
    assert refused.status_code == 422
    assert "skills" in str(refused.json()["errors"])
