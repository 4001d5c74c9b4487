"""The prefix of an execution: the agent's system prompt and model, and what the task adds."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.render_prompt import AgentPart, build_prefix
from agent_library.built_in import load_built_in_agents
from definitions.tasks import MemoryPolicy, NetworkPolicy, TaskDefinition
from domain.web.network import NetworkList
from persistence.db.database import Database
from persistence.identity import users
from persistence.tables.definitions import AgentRow
from persistence.tables.executions import ExecutionRow, PrefixRow
from tests.persistence.opened import open_execution

OWN = "You are the poet."


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database in which the user has an agent `poet`."""
    database = Database.connect(database_url)
    async with database.transaction() as session:
        user = await users.find_or_create(session, "alice", "user")
        session.add(
            AgentRow(
                user_id=user.id,
                slug="poet",
                name="Poet",
                description="",
                executor="claude",
                model="claude-haiku-5-5",
                system_prompt=OWN,
                allowed_tools=["bash"],
                capabilities=[],
                tags=[],
            )
        )
    yield database
    await database.close()


async def prefix(database: Database, agent_id: str, **definition: Any) -> dict[str, Any]:
    """The pinned prefix of an execution with this agent."""
    execution = await open_execution(database, columns={"agent_id": agent_id}, **definition)
    async with database.reading() as session:
        row = await session.get_one(ExecutionRow, execution.id)
        pinned = await session.get_one(PrefixRow, row.prefix_sha256)
    body: dict[str, Any] = json.loads(pinned.body)
    return body


async def test_an_agents_prompt_comes_before_the_tasks(database: Database) -> None:
    pinned = await prefix(database, "poet", system_prompt="Be brief.", allowed_tools=["read_file"])
    assert [block["text"] for block in pinned["system"]] == [f"{OWN}\n\nBe brief."]
    assert pinned["model"] == "claude-haiku-5-5"
    assert [tool["name"] for tool in pinned["tools"]] == ["read_file"]


async def test_the_tasks_own_model_is_used(database: Database) -> None:
    pinned = await prefix(database, "poet", sdk_options={"model": "claude-sonnet-5-5"})
    assert pinned["model"] == "claude-sonnet-5-5"


async def test_a_built_in_agent_needs_no_row(database: Database) -> None:
    [block] = (await prefix(database, "reviewer"))["system"]
    assert block["text"] == load_built_in_agents()["reviewer"].system_prompt


def test_claudes_own_memory_tool_is_sent_as_the_model_knows_it() -> None:
    policy = MemoryPolicy.model_validate({"namespaces": [{"namespace": "project:x"}]})
    definition = TaskDefinition(prompt_template="x", allowed_tools=("memory",), memory=policy)
    stored = build_prefix(definition, AgentPart(), default_model="m")
    assert json.loads(stored)["tools"] == [{"type": "memory_20250818", "name": "memory"}]


@pytest.mark.parametrize(("operator", "offered"), [(["api.example"], True), (["other"], False)])
def test_tools_for_the_web_need_a_network_and_name_its_hosts(
    *, operator: list[str], offered: bool
) -> None:
    definition = TaskDefinition(
        prompt_template="x",
        allowed_tools=("web_fetch", "read_file"),
        network=NetworkPolicy(allow=("api.example", "docs.example")),
    )
    network = NetworkList.parse(operator)
    stored = build_prefix(definition, AgentPart(), default_model="m", network=network)
    tools = {tool["name"]: tool["description"] for tool in json.loads(stored)["tools"]}
    assert ("web_fetch" in tools) is offered
    assert "read_file" in tools
    if offered:
        assert "It can connect only to api.example (" in tools["web_fetch"]
