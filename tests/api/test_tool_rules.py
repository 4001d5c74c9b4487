"""Rules of tools are checked wherever they are stored or used."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from persistence.tables.definitions import TaskVersionRow
from tests.api.world import APPROVAL, TASK, World, ask, execute, make_task

Client = httpx2.AsyncClient

USELESS = "bash(true; rm *)"
AGENT = {"agent_id": "a", "name": "A", "description": "d", "system_prompt": "s"}
SURFACES = [
    ("tasks", {**TASK, "name": "ruled", "disallowed_tools": ["read_file", USELESS]}),
    ("tasks?dry_run=true", {**TASK, "name": "ruled", "ask_tools": ["read_file", USELESS]}),
    ("agents", {**AGENT, "allowed_tools": ["read_file", USELESS]}),
    ("tool-groups", {"name": "g", "tools": ["read_file", USELESS]}),
    (
        "task-templates",
        {"name": "t", "task": {"prompt_template": "p", "disallowed_tools": ["read_file", USELESS]}},
    ),
    ("task-executions", {"prompt": "p", "disallowed_tools": ["read_file", USELESS]}),
]


@pytest.mark.parametrize(("path", "body"), SURFACES, ids=[path for path, _ in SURFACES])
async def test_a_rule_that_no_call_can_match_is_refused(
    client: Client, path: str, body: dict[str, Any]
) -> None:
    response = await client.post(f"/api/v1/{path}", json=body)
    assert response.status_code == 422, response.text
    [problem] = response.json()["errors"]
    assert (problem["loc"][-1], problem["type"]) == (1, "rule_without_effect")
    assert "'bash(true)', 'bash(rm *)'" in problem["msg"]


async def test_a_dry_run_shows_what_is_offered_and_warns_of_old_rules(
    world: World, client: Client
) -> None:
    task = await make_task(
        client, allowed_tools=["bash", "read_file"], disallowed_tools=["bash", "read_file(a)"]
    )
    result = (await client.post(task["_links"]["dry_run"], json={})).json()
    assert [tool["tool"] for tool in result["tools"]] == ["read_file"]
    assert not any("can never match" in warning for warning in result["warnings"])
    async with world.gateway.database.transaction() as session:
        version = await session.get_one(TaskVersionRow, (UUID(task["id"]), task["version"]))
        version.definition = {**version.definition, "disallowed_tools": ["read_file(/etc/*)"]}
    result = (await client.post(task["_links"]["dry_run"], json={})).json()
    assert [warning for warning in result["warnings"] if "'read_file(etc/*)'" in warning]


async def test_an_edited_input_passes_the_rules_of_a_call(world: World, client: Client) -> None:
    task = await make_task(client, ask_tools=["bash"], disallowed_tools=["bash(rm *)"])
    execution = await execute(client, task)
    path = f"/api/v1/input-requests/{await ask(world, execution, **APPROVAL)}/answer"
    for command in ("rm -r y", "if true; then rm y; fi", "A=1 /bin/rm y", "$(echo rm) y"):
        body = {"decision": "edit", "input": {"command": command}}
        response = await client.post(path, json=body)
        assert response.status_code == 422, response.text
        [problem] = response.json()["errors"]
        assert problem["loc"] == ["body", "input"]
        assert "This task forbids bash(rm *)" in problem["msg"]
    body = {"decision": "edit", "input": {"command": "ls"}}
    assert (await client.post(path, json=body)).status_code == 200
