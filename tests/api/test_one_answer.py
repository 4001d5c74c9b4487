"""Many people answer one request at the same time, each by another surface: one answer counts."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from domain.ids import new_id
from persistence.identity import users
from services.executions import holding
from tests.api.browsing import browser, sign_in
from tests.api.mcp.agents import connect
from tests.api.test_answer_links import link_for
from tests.api.test_people import BASE, Answer, make_group, path_of_request
from tests.api.test_slack import buttons_of, click, read_message, serving_slack
from tests.api.world import APPROVAL, World
from tests.cli.runner import invoke
from tests.runtime.receiver import answer as http_response
from tests.runtime.receiver import receiving


@pytest.fixture(scope="module")
async def world(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    async with serving_slack(module_database_url, temporal_address) as world:
        yield world


async def test_of_fifty_people_on_all_surfaces_one_answers(world: World) -> None:
    people = [f"person-{number}" for number in range(50)]
    group = await make_group(world, *people)
    async with world.client("starter") as starter, AsyncExitStack() as stack:
        path = await path_of_request(world, starter, **APPROVAL, assignee=group)
        request_id = path.rpartition("/")[2]
        execution_id = (await starter.get(path)).json()["execution_id"]
        answers = []
        for number, person in enumerate(people):
            ways = (by_api, by_undo, by_bulk, by_page, by_agent, by_link, by_click)
            # Commands run in this process, one at a time.
            way = ways[number % len(ways)] if number else by_command
            answers.append(await way(world, stack, person, request_id))
        outcomes = await asyncio.gather(*(answer() for answer in answers))
        assert sum(outcomes) == 1
        await holding.apply_held(world.gateway.services, datetime.now(UTC) + timedelta(minutes=1))
        assert (await starter.get(path)).json()["status"] == "answered"
        events = (await starter.get(f"/api/v1/task-executions/{execution_id}/events")).text
        assert events.count("input.answered") == 1
        query = {"entity_id": request_id, "action": "input_request.answer"}
        assert (await starter.get("/api/v1/audit-logs", params=query)).json()["total"] == 1


APPROVE = {"decision": "approve"}


async def by_api(
    world: World, stack: AsyncExitStack, person: str, request_id: str, **fields: Any
) -> Answer:
    client = await stack.enter_async_context(world.client(person))
    await client.get("/api/v1/me")

    async def answer() -> bool:
        sent = await client.post(f"{BASE}/{request_id}/answer", json=APPROVE | fields)
        assert sent.status_code in {200, 409}, sent.text
        return sent.status_code == 200

    return answer


by_undo = partial(by_api, undo_seconds=30)


async def by_bulk(world: World, stack: AsyncExitStack, person: str, request_id: str) -> Answer:
    client = await stack.enter_async_context(world.client(person))
    await client.get("/api/v1/me")

    async def answer() -> bool:
        seen = {"id": request_id, "input_sha256": bytes(range(32)).hex()}
        body = {"requests": [seen], "decision": "deny"}
        sent = await client.post(f"{BASE}/bulk/answer", json=body)
        return bool(sent.json()["answered"])

    return answer


async def by_page(world: World, stack: AsyncExitStack, person: str, request_id: str) -> Answer:
    page = await sign_in(world, person)
    stack.push_async_callback(page.aclose)
    opened = (await page.get(f"/inbox/{request_id}")).text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', opened))

    async def answer() -> bool:
        sent = await page.post(f"/inbox/{request_id}", data={**hidden, **APPROVE})
        assert sent.status_code in {303, 409}, sent.text
        return sent.status_code == 303

    return answer


async def by_link(world: World, stack: AsyncExitStack, person: str, request_id: str) -> Answer:
    async with world.client(person) as client:
        await client.get("/api/v1/me")
    path = await link_for(world, UUID(request_id), person)
    page = await stack.enter_async_context(browser(world))

    async def answer() -> bool:
        sent = await page.post(path, data=APPROVE)
        assert sent.status_code in {200, 409}, sent.text
        return sent.status_code == 200

    return answer


async def by_click(world: World, stack: AsyncExitStack, person: str, request_id: str) -> Answer:
    async with world.client(person) as client:
        await client.get("/api/v1/me")
    async with world.gateway.database.transaction() as session:
        user = await users.find_by_subject(session, person)
        assert user is not None
        user.slack_user = f"T1/{person}"
    button = (await buttons_of(world, UUID(request_id)))["deny"]
    receiver = await stack.enter_async_context(receiving(http_response(200, b"ok")))

    async def answer() -> bool:
        assert (await click(world, receiver, button, person)).status_code == 200
        return bool(read_message(receiver)["replace_original"])

    return answer


async def by_command(world: World, stack: AsyncExitStack, person: str, request_id: str) -> Answer:
    del stack
    async with world.client(person) as client:
        await client.get("/api/v1/me")
        token = client.headers["Authorization"].removeprefix("Bearer ")
    options = ("--api-url", world.url, "--token", token)

    async def answer() -> bool:
        ended = await asyncio.to_thread(invoke, *options, "inbox", "approve", request_id)
        assert ended.returncode in {0, 2}, ended.output
        return ended.returncode == 0

    return answer


async def by_agent(world: World, stack: AsyncExitStack, person: str, request_id: str) -> Answer:
    async with world.client(person) as client:
        body = {"name": str(new_id()), "scopes": ["approve"]}
        key = (await client.post("/api/v1/api-keys", json=body)).json()["secret"]
    agent = await stack.enter_async_context(connect(world, person, token=key))

    async def answer() -> bool:
        arguments = {"input_request_id": request_id, **APPROVE}
        result = await agent.call_tool("answer_input_request", arguments)
        return not result.is_error

    return answer
