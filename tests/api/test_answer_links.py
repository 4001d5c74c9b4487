"""Links in messages: each answers one request, once, as one user, and without a sign-in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.ids import new_id
from persistence.identity import users
from persistence.tables.ledger import UserRow
from persistence.tables.sessions import InputRequestRow
from services.executions.answer_links import AnswerLink, make_link
from tests.api.browsing import browser, submit, words
from tests.api.world import APPROVAL, World, ask, execute, make_task

Client = httpx2.AsyncClient
BASE = "/api/v1/input-requests"


async def new_request(world: World, client: Client, **fields: Any) -> UUID:
    execution = await execute(client, await make_task(client))
    return UUID(await ask(world, execution, **{**APPROVAL, **fields}))


async def link_for(world: World, request_id: UUID, subject: str, **changed: Any) -> str:
    """The path of a link of this user."""
    async with world.gateway.database.reading() as session:
        row = await session.get_one(InputRequestRow, request_id)
        user = await users.find_by_subject(session, subject)
        assert user is not None
        link = AnswerLink.make(row, user.id, new_id())
    fields = {name: getattr(link, name) for name in AnswerLink.__slots__}
    return f"/answer/{AnswerLink(**{**fields, **changed}).seal(world.gateway.services.links)}"


async def require_refused(page: Client, path: str, status: int, text: str) -> None:
    for response in (await page.get(path), await page.post(path, data={"decision": "approve"})):
        assert (response.status_code, text in words(response)) == (status, True), words(response)


async def test_a_link_opens_one_request_and_answers_it_once(
    world: World, client: Client, other: Client
) -> None:
    name = (await other.get("/api/v1/me")).json()["subject"]
    request_id = await new_request(world, client, assignee=name)
    path = await link_for(world, request_id, name)
    async with browser(world) as page:
        for _ in range(2):  # a program that checks links does no harm
            opened = await page.get(path)
            assert (opened.status_code, opened.headers["cache-control"]) == (200, "no-store")
        text = words(opened)
        assert "git push" in text
        assert f"You answer as {name} . This link works once." in text
        for absent in ("/comments", "/assign", "Remember this decision", "Sign out"):
            assert absent not in opened.text
        remembered = await page.post(path, data={"decision": "approve", "remember": "task"})
        assert remembered.status_code == 422
        assert "leave this out, or sign in" in words(remembered)
        done = await submit(page, path, decision="approve")
        assert (done.status_code, "Approved" in words(done)) == (200, True), words(done)
        await require_refused(page, path, 409, "was used before")
        assert (await page.get("/inbox")).headers["location"].startswith("/sign-in")
    found = (await client.get(f"{BASE}/{request_id}")).json()
    assert (found["status"], found["answer"]["decision"]) == ("answered", "approve")
    entries = (await client.get(f"/api/v1/audit-logs?entity_id={request_id}")).json()["items"]
    assert [e["action"] for e in entries] == ["input_request.use_link", "input_request.answer"]
    assert {e["actor_id"] for e in entries} == {found["answered_by"]}


async def test_a_used_link_stays_used_when_its_answer_did_not_decide(world: World) -> None:
    """One of two approvals leaves the request open, and uses the link up."""
    async with world.client("link-starter") as starter, world.client("link-ann") as ann:
        await ann.get("/api/v1/me")
        request_id = await new_request(world, starter, approvals_required=2, assignee="link-ann")
        path = await link_for(world, request_id, "link-ann")
        async with browser(world) as page:
            done = await submit(page, path, decision="approve")
            assert (done.status_code, "<form" in done.text) == (200, False)
            assert "1 of 2 people have approved" in words(done)
            assert "this link is used up. 1 more must approve" in words(done)
            await require_refused(page, path, 409, "was used before")
        found = (await starter.get(f"{BASE}/{request_id}")).json()
        assert (found["status"], len(found["approvals"])) == ("open", 1)


async def test_links_that_are_not_valid_any_more(world: World, client: Client) -> None:
    async with world.client("link-bob") as bob, world.client("link-cat") as cat:
        for member in (bob, cat):
            await member.get("/api/v1/me")
        request_id = await new_request(world, client, assignee="link-bob")
        request = f"{BASE}/{request_id}"
        path = await link_for(world, request_id, "link-bob")
        expired = await link_for(world, request_id, "link-bob", expires_at=0)
        foreign = await link_for(world, request_id, "link-cat")
        async with browser(world) as page:
            await require_refused(page, expired, 409, "expired")
            await require_refused(page, f"{path[:-4]}AAAA", 404, "Page not found")
            await require_refused(page, "/answer/x", 404, "Page not found")
            await require_refused(page, foreign, 404, "belongs to another user")
            assert (await client.post(f"{request}/claim")).status_code == 200
            await require_refused(page, path, 409, "another person works on it")
            assert (await client.post(f"{request}/release")).status_code == 200
            assert (await bob.post(f"{request}/claim")).status_code == 200
            assert (await page.get(path)).status_code == 200
            for assignee in ("link-cat", "link-bob"):
                body = {"assignee": assignee}
                assert (await client.post(f"{request}/assign", json=body)).status_code == 200
            await require_refused(page, path, 409, "was assigned again")
            again = await link_for(world, request_id, "link-bob")
            await client.post(f"{request}/answer", json={"decision": "deny"})
            assert "Denied" in words(await page.get(again))
            late = await page.post(again, data={"decision": "approve"})
            assert (late.status_code, "no answer any more" in words(late)) == (409, True)
            await set_user(world, "link-bob", disabled_at=datetime.now(UTC))
            await require_refused(page, again, 404, "Page not found")


async def set_user(world: World, subject: str, **columns: Any) -> UUID:
    async with world.gateway.database.transaction() as session:
        user = await users.find_by_subject(session, subject)
        assert user is not None
        for name, value in columns.items():
            setattr(user, name, value)
        return user.id


@pytest.mark.parametrize(
    ("assignee", "addresses", "expected"),
    [
        ("ann", {"ann": "Ann@example.com"}, "ann"),
        (None, {"ann": "ann@example.com"}, None),  # she may not answer
        ("ann", {"ann": "ann@example.com", "eve": "ann@example.com"}, "ann"),
        ("ann", {"ann": "ann@example.com", "owner": "ann@example.com"}, None),  # which of both?
        ("ann@example.com", {}, "ann@example.com"),  # a subject that is an address
    ],
)
async def test_a_mail_has_a_link_for_the_user_of_the_address(
    world: World, assignee: str | None, addresses: dict[str, str], expected: str | None
) -> None:
    suffix = new_id().hex

    def named(name: str) -> str:
        return f"{suffix}.{name}"

    people: Callable[[str], Client] = lambda name: world.client(named(name))  # noqa: E731 - short
    for name in ("ann", "eve", "ann@example.com"):
        async with people(name) as person:
            await person.get("/api/v1/me")
    async with people("owner") as owner:
        request_id = await new_request(world, owner, assignee=assignee and named(assignee))
    for name, address in addresses.items():
        await set_user(world, named(name), email=named(address))
    async with world.gateway.database.reading() as session:
        row = await session.get_one(InputRequestRow, request_id)
        link = await make_link(session, row, new_id(), named("ann@example.com"))
        user = None if link is None else await session.get_one(UserRow, link.user_id)
    assert (user and user.subject) == (expected and named(expected))
    if link is not None:
        ends_at = datetime.fromtimestamp(link.expires_at, UTC)
        assert ends_at <= datetime.now(UTC) + timedelta(days=3)
