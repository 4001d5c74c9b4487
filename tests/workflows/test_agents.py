"""Agents of executions and subtasks, on the real engine."""

import json
from typing import Any

from agent_library.built_in import load_built_in_agents
from domain.ids import new_id
from persistence.tables.definitions import AgentRow
from persistence.tables.executions import PrefixRow
from tests.engine.driver import Engine, Run, script, use

OWN = "You are the poet."


async def make_agent(engine: Engine, **changed: Any) -> str:
    slug = f"poet-{new_id().hex}"
    fields: dict[str, Any] = {"name": "Poet", "description": "", "executor": "claude", **changed}
    async with engine.database.transaction() as session:
        session.add(
            AgentRow(
                user_id=engine.user_id,
                slug=slug,
                system_prompt=OWN,
                allowed_tools=["bash"],
                capabilities=[],
                tags=[],
                **fields,
            )
        )
    return slug


async def prefix(run: Run) -> dict[str, Any]:
    row = await run.row()
    assert row.prefix_sha256 is not None
    async with run.engine.database.reading() as session:
        pinned = await session.get_one(PrefixRow, row.prefix_sha256)
    body: dict[str, Any] = json.loads(pinned.body)
    return body


async def test_a_missing_agent_fails_the_execution(engine: Engine) -> None:
    run = await engine.run_to_failure(
        {"text": "never"}, code="invalid_definition", columns={"agent_id": "gone"}
    )
    assert "agent" in ((await run.row()).error_message or "")


async def test_a_subtask_may_have_an_agent(engine: Engine) -> None:
    slug = await make_agent(engine, model="claude-haiku-5-5")
    part = script({"text": "a verse"})
    parent = await engine.run_to_completion(
        {"tool_use": use("delegate", title="verse", prompt=part, agent_id=slug)},
        {"text": "done"},
        allowed_tools=["delegate"],
    )
    (child,) = await parent.children()
    row = await child.row()
    assert row.agent_id == slug
    assert row.definition is not None
    assert row.definition["agent_id"] == slug
    pinned = await prefix(child)
    assert pinned["system"][0]["text"] == OWN
    assert pinned["model"] == "claude-haiku-5-5"


async def test_a_subtasks_agent_without_a_model_uses_its_parents(engine: Engine) -> None:
    slug = await make_agent(engine, model="claude-haiku-5-5")
    part = script({"text": "a verse"})
    parent = await engine.run_to_completion(
        {"tool_use": use("delegate", title="verse", prompt=part, agent_id="reviewer")},
        {"text": "done"},
        columns={"agent_id": slug},
        allowed_tools=["delegate"],
    )
    (child,) = await parent.children()
    pinned = await prefix(child)
    assert pinned["model"] == "claude-haiku-5-5"
    assert pinned["system"][0]["text"] == load_built_in_agents()["reviewer"].system_prompt


async def test_a_subtask_without_an_agent_uses_its_parents_model(engine: Engine) -> None:
    slug = await make_agent(engine, model="claude-haiku-5-5")
    part = script({"text": "a verse"})
    parent = await engine.run_to_completion(
        {"tool_use": use("delegate", title="verse", prompt=part)},
        {"text": "done"},
        columns={"agent_id": slug},
        allowed_tools=["delegate"],
    )
    (child,) = await parent.children()
    pinned = await prefix(child)
    assert pinned["model"] == "claude-haiku-5-5"
    assert pinned["system"] == []


async def test_a_subtask_with_an_unknown_agent_is_an_error_for_its_parent(engine: Engine) -> None:
    parent = await engine.run_to_completion(
        {"tool_use": use("delegate", title="verse", prompt="x", agent_id="unknown")},
        {"text": "done"},
        allowed_tools=["delegate"],
    )
    (result,) = await parent.results()
    assert result["is_error"]
    assert "agent" in json.dumps(result["content"])
