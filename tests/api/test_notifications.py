"""Notifications at the gateway: what may be configured, what is listed, tried and redelivered."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.executions.events import Event
from domain.ids import new_id
from domain.people.notifications import EVENTS
from persistence.executions import events
from persistence.notifications import deliveries, queries
from persistence.notifications.deliveries import AttemptResult
from persistence.tables.ledger import NotificationRow
from tests.api.world import TASK, World, execute, make_task

Client = httpx2.AsyncClient
BASE = "/api/v1/notifications"
URL = "https://hooks.example.com/in?token=very-hidden"


@pytest.fixture
async def signing(client: Client) -> str:
    await client.put(
        "/api/v1/secrets/signing", json={"value": "whsec_c2VjcmV0LW9mLXR3ZW50eS1mb3VyLWJ5dGVz"}
    )
    slack = {"value": "https://hooks.slack.com/x", "hosts": ["hooks.slack.com"]}
    await client.put("/api/v1/secrets/slack", json=slack)
    return "secret://signing"


async def record_attempt(world: World, notification_id: str, tried: AttemptResult) -> None:
    """Make a try of it, as a worker does, with this end."""
    async with world.gateway.database.transaction() as session:
        this = await deliveries.begin_attempt(session, UUID(notification_id))
        assert this is not None
        await deliveries.store_payload(
            session, this.notification, {"type": "x", "data": {"title": "t"}}
        )
        await deliveries.end_attempt(session, this, tried, duration_ms=7, delay=None)


async def sample(client: Client, **target: Any) -> dict[str, Any]:
    """A test that was asked for."""
    body = target or {"webhook": {"url": URL}}
    response = await client.post(f"{BASE}/test", json=body)
    assert response.status_code == 202, response.text
    notification: dict[str, Any] = response.json()
    return notification


@pytest.mark.parametrize(
    "config",
    [
        {"webhooks": [{"url": URL}]},
        {"webhooks": [{"url": URL, "secret_ref": "secret://signing", "events": list(EVENTS)}]},
        {"webhooks": [{"url": "http://hooks.example.com:8080/", "secret_ref": "signing"}]},
        {"email": ["ada@example.com", {"to": "bob@example.com", "events": ["report.ready"]}]},
        {"slack": [{"url": "https://hooks.slack.com/services/T/B/x"}]},
        {"slack": [{"secret_ref": "secret://slack", "events": ["input.requested"]}]},
        {},
        None,
    ],
)
async def test_what_may_be_configured_comes_back_as_it_was_sent(
    client: Client, signing: str, config: Any
) -> None:
    del signing
    task = await make_task(client, notification_config=config)
    assert task["notification_config"] == config
    changed = await client.patch(task["_links"]["self"], json={"notification_config": config})
    assert (changed.status_code, changed.json()["version"]) == (200, 1)
    execution = await execute(client, task)
    assert execution["status"] == "pending"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"webhooks": [{"url": "http://127.0.0.1:9000/"}]}, ["webhooks", 0, "url"]),
        ({"webhooks": [{"url": "https://[::1]/"}]}, ["webhooks", 0, "url"]),
        ({"webhooks": [{"url": "https://u:p@example.com/"}]}, ["webhooks", 0, "url"]),
        ({"webhooks": [{"url": "ftp://example.com/"}]}, ["webhooks", 0, "url"]),
        ({"webhooks": [{"url": "http://example.com:22/"}]}, ["webhooks", 0, "url"]),
        ({"webhooks": [{"url": URL}, {"url": 7}]}, ["webhooks", 1, "url"]),
        ({"webhooks": [{}]}, ["webhooks", 0, "url"]),
        ({"webhooks": {"url": URL}}, ["webhooks"]),
        ({"webhooks": [{"url": URL}] * 11}, ["webhooks"]),
        ({"webhooks": [{"url": URL, "secret": "x"}]}, ["webhooks", 0, "secret"]),
        ({"webhooks": [{"url": URL, "secret_ref": "absent"}]}, ["webhooks", 0, "secret_ref"]),
        ({"webhooks": [{"url": URL, "secret_ref": "s p"}]}, ["webhooks", 0, "secret_ref"]),
        ({"webhooks": [{"url": URL, "events": []}]}, ["webhooks", 0, "events"]),
        ({"webhooks": [{"url": URL, "events": ["done"]}]}, ["webhooks", 0, "events", 0]),
        ({"email": ["ada"]}, ["email", 0, "to"]),
        ({"email": ["ada@example.com\nBcc: x@y.z"]}, ["email", 0, "to"]),
        ({"email": [{"to": ["ada@example.com"]}]}, ["email", 0, "to"]),
        ({"email": [7]}, ["email", 0]),
        ({"slack": [{}]}, ["slack", 0]),
        ({"slack": [{"url": URL, "secret_ref": "slack"}]}, ["slack", 0]),
        ({"slack": [{"secret_ref": "signing"}]}, ["slack", 0, "secret_ref"]),
        ({"slack": [{"url": "http://10.0.0.1/"}]}, ["slack", 0, "url"]),
        ({"telegram": []}, ["telegram"]),
    ],
)
async def test_what_may_not_is_refused_by_its_field(
    client: Client, signing: str, config: Any, field: list[str | int]
) -> None:
    del signing
    body = {**TASK, "name": f"refused {new_id()}", "notification_config": config}
    refused = await client.post("/api/v1/tasks", json=body)
    assert refused.status_code == 422, refused.text
    assert ["body", "notification_config", *field] in [e["loc"] for e in refused.json()["errors"]]
    messages = " ".join(e["msg"] for e in refused.json()["errors"])
    for word in ("Value error", "Target", "uple", "pattern", "Extra inputs"):  # the validator's
        assert word not in messages


@pytest.mark.parametrize("value", ["whsec_QQ==", "whsec_c2VjcmV0", "a word"])
async def test_a_secret_that_cannot_sign_is_refused_where_it_is_named(
    client: Client, value: str
) -> None:
    await client.put("/api/v1/secrets/weak", json={"value": value})
    webhook = {"url": URL, "secret_ref": "secret://weak"}
    config = {"webhooks": [webhook]}
    body = {**TASK, "name": f"refused {new_id()}", "notification_config": config}
    for path, sent in (("tasks", body), ("notifications/test", {"webhook": webhook})):
        refused = await client.post(f"/api/v1/{path}", json=sent)
        assert refused.status_code == 422, refused.text
        [problem] = refused.json()["errors"]
        assert (problem["loc"][-1], problem["type"]) == ("secret_ref", "secret_unusable")
        assert "24 bytes or more" in problem["msg"]


async def test_a_public_task_keeps_its_slack_address_secret(client: Client, signing: str) -> None:
    del signing
    slack = {"slack": [{"url": "https://hooks.slack.com/services/T/B/x"}]}
    body = {**TASK, "name": f"public {new_id()}", "is_public": True, "notification_config": slack}
    refused = await client.post("/api/v1/tasks", json=body)
    loc = ["body", "notification_config", "slack", 0, "url"]
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, loc)
    by_reference = {"slack": [{"secret_ref": "slack"}]}
    await make_task(client, is_public=True, notification_config=by_reference)


async def test_a_tests_target_is_checked_and_it_goes_its_way(
    world: World, client: Client, signing: str
) -> None:
    made = await sample(client, webhook={"url": URL, "secret_ref": signing})
    assert (made["type"], made["kind"], made["status"]) == (
        "notification.test",
        "webhook",
        "pending",
    )
    assert made["target"] == {"url": "https://hooks.example.com/in", "secret_ref": signing}
    async with world.gateway.database.transaction() as session:
        due = await deliveries.take_due(session, limit=100)
    assert made["id"] in [str(one.id) for one in due]
    for body, field in (
        ({}, ["body"]),
        ({"webhook": {"url": URL}, "email": {"to": "a@b.c"}}, ["body"]),
        ({"webhook": {"url": "http://127.0.0.1/"}}, ["body", "webhook", "url"]),
        ({"slack": {"secret_ref": "absent"}}, ["body", "slack", "secret_ref"]),
        ({"email": {"to": "nobody"}}, ["body", "email", "to"]),
    ):
        refused = await client.post(f"{BASE}/test", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, field)


async def test_a_slack_address_is_not_shown(client: Client) -> None:
    made = await sample(client, slack={"url": "https://hooks.slack.com/services/T/B/very-hidden"})
    read = (await client.get(made["_links"]["self"])).text
    assert "very-hidden" not in read
    assert "https://hooks.slack.com/" in read


async def test_tries_are_shown_and_lists_are_narrowed(world: World, client: Client) -> None:
    kept, lost = await sample(client), await sample(client, email={"to": "ada@example.com"})
    await record_attempt(world, kept["id"], AttemptResult(status_code=200, excerpt="thanks\0"))
    await record_attempt(
        world, lost["id"], AttemptResult(error="The server answered 550.", is_final=True)
    )
    read = (await client.get(kept["_links"]["self"])).json()
    assert (read["status"], read["attempt_count"], read["error"]) == ("delivered", 1, None)
    assert read["payload"] == {"type": "x", "data": {"title": "t"}}
    [attempt] = read["attempts"]
    assert (attempt["number"], attempt["status_code"], attempt["duration_ms"]) == (1, 200, 7)
    assert attempt["excerpt"] == "thanks\N{REPLACEMENT CHARACTER}"

    async def ids(query: str) -> list[str]:
        items = (await client.get(f"{BASE}?{query}")).json()["items"]
        return [item["id"] for item in items]

    assert lost["id"] in await ids("status=failed")
    assert kept["id"] not in await ids("status=failed")
    assert await ids("kind=email&status=failed") == [lost["id"]]
    assert await ids(f"execution_id={new_id()}") == []
    assert (await client.get(f"{BASE}?status=lost")).status_code == 422


async def test_a_redelivery_is_a_new_one_of_the_same_message(world: World, client: Client) -> None:
    first = await sample(client)
    path = first["_links"]["redeliver"]
    early = await client.post(path)
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    await record_attempt(world, first["id"], AttemptResult(status_code=204))
    again = await client.post(path, headers={"Idempotency-Key": "one"})
    twice = await client.post(path, headers={"Idempotency-Key": "one"})
    assert again.status_code == 202
    assert twice.json() == again.json()
    assert again.json()["id"] != first["id"]
    assert again.json()["message_id"] == first["id"]
    async with world.gateway.database.reading() as session:
        row = await queries.find(session, UUID(again.json()["id"]))
    assert isinstance(row, NotificationRow)
    assert row.payload == {"type": "x", "data": {"title": "t"}}


async def test_notifications_are_each_users_own(client: Client, other: Client) -> None:
    made = await sample(client)
    assert (await other.get(made["_links"]["self"])).status_code == 403
    assert (await other.post(made["_links"]["redeliver"])).status_code == 403
    assert made["id"] not in (await other.get(BASE)).text
    assert (await client.get(f"{BASE}/{new_id()}")).status_code == 404


async def test_an_executions_notifications_are_found_by_it(world: World, client: Client) -> None:
    task = await make_task(client, notification_config={"email": ["ada@example.com"]})
    execution = await execute(client, task)
    async with world.gateway.database.transaction() as session:
        await events.append(session, UUID(execution["id"]), Event("execution.cancelled"))
    listed = (await client.get(f"{BASE}?execution_id={execution['id']}")).json()["items"]
    assert [(n["type"], n["target"]) for n in listed] == [
        ("execution.cancelled", {"to": "ada@example.com"})
    ]
    assert listed[0]["_links"]["execution"] == execution["_links"]["self"]
