"""Conversations without an agent: the first message finds one by capabilities, users override."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from tests.api.world import World

Client = httpx2.AsyncClient
SESSIONS = "/api/v1/sessions"


async def converse(client: Client, **fields: Any) -> dict[str, Any]:
    response = await client.post(SESSIONS, json=fields)
    assert response.status_code == 201, response.text
    session: dict[str, Any] = response.json()
    return session


async def send(client: Client, session: dict[str, Any], content: str) -> dict[str, Any]:
    response = await client.post(session["_links"]["messages"], json={"content": content})
    assert response.status_code == 202, response.text
    execution: dict[str, Any] = response.json()
    return execution


async def read(client: Client, session: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(session["_links"]["self"])).json()
    return found


async def complete(world: World, execution: dict[str, Any]) -> None:
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.status = "completed"


async def make_agent(client: Client, **fields: Any) -> str:
    slug = f"agent-{new_id().hex}"
    body = {"agent_id": slug, "name": "Own", "system_prompt": "You help.", **fields}
    assert (await client.post("/api/v1/agents", json=body)).status_code == 201
    return slug


async def test_the_first_message_finds_an_agent_and_says_why(world: World, client: Client) -> None:
    word = f"w{new_id().hex}"
    slug = await make_agent(client, capabilities=[f"{word} analysis"], allowed_tools=["read_file"])
    session = await converse(client)
    assert (session["agent_id"], session["agent_source"]) == (None, None)
    first = await send(client, session, f"An analysis of {word}, please.")
    assert first["agent_id"] == slug
    chosen = await read(client, session)
    assert (chosen["agent_id"], chosen["agent_source"]) == (slug, "capabilities")
    reason = f"The first message matches '{word} analysis' of the agent {slug}."
    assert chosen["agent_reason"] == reason
    await complete(world, first)
    second = await send(client, session, "Please review the code.")
    assert second["agent_id"] == slug


async def test_no_match_is_explained_and_stays(world: World, client: Client) -> None:
    session = await converse(client)
    first = await send(client, session, "Hello!")
    assert first["agent_id"] is None
    chosen = await read(client, session)
    assert (chosen["agent_id"], chosen["agent_source"]) == (None, "capabilities")
    assert "no capability" in chosen["agent_reason"]
    await complete(world, first)
    assert (await send(client, session, "Please review it."))["agent_id"] is None


async def test_a_user_who_wants_no_agent_gets_none(client: Client) -> None:
    session = await converse(client, agent_id=None)
    assert session["agent_source"] == "user"
    assert (await send(client, session, "Please review the code."))["agent_id"] is None


async def test_a_user_overrides_the_choice(world: World, client: Client) -> None:
    session = await converse(client)
    first = await send(client, session, "Please review the code.")
    assert first["agent_id"] == "reviewer"
    await complete(world, first)
    path = session["_links"]["self"]
    changed = (await client.patch(path, json={"agent_id": "tester"})).json()
    assert (changed["agent_id"], changed["agent_source"]) == ("tester", "user")
    assert (changed["agent_reason"], changed["title"]) == (None, session["title"])
    second = await send(client, session, "And now?")
    assert second["agent_id"] == "tester"
    removed = (await client.patch(path, json={"agent_id": None})).json()
    assert (removed["agent_id"], removed["agent_source"]) == (None, "user")


async def test_an_agent_that_cannot_converse_is_refused(client: Client, other: Client) -> None:
    external = await make_agent(client, executor="external", capabilities=["juggling"])
    session = await converse(client)
    for slug in (external, await make_agent(other), "nobody"):
        refused = await client.patch(session["_links"]["self"], json={"agent_id": slug})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["loc"] == ["body", "agent_id"]
    assert (await send(client, session, "Some juggling?"))["agent_id"] is None


async def test_of_two_first_messages_one_chooses(client: Client) -> None:
    session = await converse(client)
    texts = ("Please review the code.", "Please plan the release.")
    sent = await asyncio.gather(*(send(client, session, text) for text in texts))
    chosen = (await read(client, session))["agent_id"]
    assert {execution["agent_id"] for execution in sent} == {chosen}
    assert chosen in {"reviewer", "planner"}
