"""Clicks in Slack, as its API sends them, and the messages that a real receiver gets in return."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx2
import pytest

from api.main import create_app
from domain.ids import new_id
from persistence.tables.sessions import InputRequestRow
from services.executions.slack_buttons import make_buttons
from services.identity.slack_accounts import SlackAccount
from tests.api.browsing import sign_in, words
from tests.api.conftest import serve_app, settings_of
from tests.api.world import APPROVAL, World, ask, execute, make_task
from tests.runtime.receiver import Receiver, answer, receiving
from tests.waiting import WITHIN_SECONDS, eventually

SECRET = "a signing secret"
Client = httpx2.AsyncClient


@asynccontextmanager
async def serving_slack(database_url: str, temporal_address: str) -> AsyncIterator[World]:
    """A gateway whose operator has set up a Slack app."""
    more = {"slack_signing_secret": SECRET, "outbound_allow": "127.0.0.1"}
    app = create_app(settings_of(database_url, temporal_address, **more))
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


@pytest.fixture(scope="module")
async def world(module_database_url: str, temporal_address: str) -> AsyncIterator[World]:
    async with serving_slack(module_database_url, temporal_address) as world:
        yield world


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(*(answer(200, b"ok") for _ in range(10))) as receiver:
        yield receiver


async def new_request(world: World, client: Client, **fields: Any) -> UUID:
    execution = await execute(client, await make_task(client))
    return UUID(await ask(world, execution, **{**APPROVAL, **fields}))


async def buttons_of(world: World, request_id: UUID) -> dict[str, str]:
    """The values of the buttons in a message about the request, by their decisions."""
    async with world.gateway.database.reading() as session:
        row = await session.get_one(InputRequestRow, request_id)
        made = make_buttons(row, world.gateway.services.links)
    return {button.decision: button.value for button in made}


def sign(body: str, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """The headers with which Slack sends a body."""
    sent_at = str(int(at or time.time()))
    text = f"v0:{sent_at}:{body}".encode()
    digest = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": sent_at, "X-Slack-Signature": f"v0={digest}"}


async def send(world: World, body: str, **signature: Any) -> httpx2.Response:
    async with Client(base_url=world.url, timeout=WITHIN_SECONDS) as slack:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **sign(body, **signature)}
        return await slack.post("/slack/interactions", content=body, headers=headers)


async def click(
    world: World, receiver: Receiver, value: str, user: str, **signature: Any
) -> httpx2.Response:
    """A click of this account of Slack."""
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": f"{user} in Slack", "team_id": "T1"},
        "team": {"id": "T1"},
        "message": {"text": "report needs your input"},
        "response_url": f"http://127.0.0.1:{receiver.port}/actions",
        "actions": [{"type": "button", "action_id": "answer_approve", "value": value}],
    }
    count = len(receiver.received)
    response = await send(world, urlencode({"payload": json.dumps(payload)}), **signature)

    async def is_shown() -> bool:
        return len(receiver.received) > count

    if response.is_success:
        await eventually(is_shown, what="the message after a click")
    return response


def read_message(receiver: Receiver) -> dict[str, Any]:
    """The latest message that Slack was asked to show."""
    message: dict[str, Any] = json.loads(receiver.received[-1].body)
    return message


async def link_account(world: World, receiver: Receiver, subject: str, account: str) -> None:
    """Link an account with the page that an unknown account is sent to."""
    assert (await click(world, receiver, "x", account)).status_code == 200
    assert read_message(receiver)["response_type"] == "ephemeral"
    url = re.search(r"http\S+/settings/slack\S+", read_message(receiver)["text"])
    assert url, read_message(receiver)
    page = await sign_in(world, subject)
    path = httpx2.URL(unescape(url[0])).raw_path.decode()
    opened = await page.get(path)
    assert f"Answer in Slack as {subject}?" in words(opened)
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', opened.text))
    assert (await page.post("/settings/slack", data=fields)).status_code == 303
    assert f"T1/{account}" in words(await page.get("/settings"))
    await page.aclose()


async def test_a_click_answers_as_the_user_who_has_linked_the_account(
    world: World, receiver: Receiver
) -> None:
    async with world.client("slack-owner") as owner:
        request_id = await new_request(world, owner, assignee="slack-ann")
        buttons = await buttons_of(world, request_id)
        assert set(buttons) == {"approve", "deny"}
        await link_account(world, receiver, "slack-ann", "U1")
        await link_account(world, receiver, "slack-eve", "U2")
        await click(world, receiver, buttons["deny"], "U2")
        assert "belongs to another user" in read_message(receiver)["text"]
        path = f"/api/v1/input-requests/{request_id}"
        assert (await owner.get(path)).json()["status"] == "open"
        await click(world, receiver, buttons["approve"], "U1")
        assert read_message(receiver) == {
            "replace_original": True,
            "text": "report needs your input\nAnswered with approve by slack-ann.",
        }
        found = (await owner.get(path)).json()
        assert (found["status"], found["answer"]) == ("answered", {"decision": "approve"})
        await click(world, receiver, buttons["deny"], "U1")
        assert read_message(receiver)["response_type"] == "ephemeral"
        assert "no answer any more" in read_message(receiver)["text"]
    async with world.client("slack-ann") as ann:
        assert (await ann.get("/api/v1/me")).json()["slack_user"] == "T1/U1"


async def test_clicks_that_do_nothing(world: World, receiver: Receiver) -> None:
    async with world.client("slack-bob") as bob:
        await bob.get("/api/v1/me")
        request_id = await new_request(world, bob)
        value = (await buttons_of(world, request_id))["approve"]
        await link_account(world, receiver, "slack-bob", "U3")
        count = len(receiver.received)
        for wrong in ({"secret": "other"}, {"at": time.time() - 301}, {"at": time.time() + 330}):
            refused = await click(world, receiver, value, "U3", **wrong)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert len(receiver.received) == count
        assert (await send(world, "payload=x")).status_code == 400
        other = urlencode({"payload": json.dumps({"type": "view_closed"})})
        assert (await send(world, other)).status_code == 200
        for broken, text in ((f"{value[:-4]}AAAA", "did not make this button"), ("x", "did not")):
            await click(world, receiver, broken, "U3")
            assert text in read_message(receiver)["text"]
        path = f"/api/v1/input-requests/{request_id}"
        await bob.post(f"{path}/assign", json={"assignee": "slack-bob"})
        await click(world, receiver, value, "U3")
        assert "was assigned again" in read_message(receiver)["text"]
        assert (await bob.get(path)).json()["status"] == "open"


async def test_an_account_is_linked_with_one_user(world: World, receiver: Receiver) -> None:
    subject, account = f"s{new_id().hex}", f"U{new_id().hex}"
    await link_account(world, receiver, subject, account)
    await click(world, receiver, "x", account)
    assert "did not make this button" in read_message(receiver)["text"]
    page = await sign_in(world, subject)
    csrf = re.search(r'name="csrf" value="([^"]+)"', (await page.get("/settings")).text)
    assert csrf
    assert (await page.post("/settings/slack", data={"csrf": csrf[1]})).status_code == 303
    assert f"T1/{account}" not in words(await page.get("/settings"))
    assert (await page.get("/settings/slack?code=x")).status_code == 404
    await page.aclose()
    await link_account(world, receiver, f"{subject}-2", account)
    code = SlackAccount(f"T1/{account}", "s").make_code(world.gateway.services.links)
    third = await sign_in(world, f"{subject}-3")
    csrf = re.search(r'name="csrf" value="([^"]+)"', (await third.get("/settings")).text)
    assert csrf
    taken = await third.post("/settings/slack", data={"csrf": csrf[1], "code": code})
    assert (taken.status_code, "Another user has linked" in words(taken)) == (409, True)
    await third.aclose()


async def test_inputs_that_a_message_cannot_show_have_no_buttons(world: World) -> None:
    async with world.client("slack-dan") as dan:
        request_id = await new_request(world, dan, tool_input=json.dumps({"command": "x" * 3000}))
        assert await buttons_of(world, request_id) == {}
        hidden = json.dumps({"command": "\u202e" * 500 + "x"}, ensure_ascii=False)
        request_id = await new_request(world, dan, tool_input=hidden)
        assert await buttons_of(world, request_id) == {}  # shown, it has 4,000 characters
        budget = await new_request(world, dan, kind="budget")
        assert await buttons_of(world, budget) == {}


async def test_without_a_secret_there_is_no_endpoint(
    module_database_url: str, temporal_address: str
) -> None:
    app = create_app(settings_of(module_database_url, temporal_address))
    async with serve_app(app) as url:
        response = await send(World(url, app.state.gateway), "payload=x")
    assert response.status_code == 404
