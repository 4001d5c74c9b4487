"""Sign-in of browsers, their sessions, and how these end."""

import asyncio
import re
from contextlib import aclosing
from html import unescape
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select

from api.auth.browser_sessions import SESSION_LIFETIME
from api.main import create_app
from domain.ids import new_id
from persistence.tables.ledger import AuditRow
from tests.api.browsing import (
    API,
    CSRF,
    Client,
    alice,
    browser,
    new_request,
    read_request,
    sign_in,
    submit,
    words,
)
from tests.api.conftest import serve_app, settings_of
from tests.api.world import APPROVAL, World

__all__ = ["alice"]


async def test_the_cookie_opens_pages_only(world: World, alice: Client) -> None:
    [cookie] = alice.cookies.jar
    assert cookie.name == f"perdure_session_{httpx2.URL(world.url).port}"
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert not cookie.secure
    assert (await alice.get(f"{API}/me")).status_code == 401
    for page in ("/inbox", "/sign-in"):
        headers = (await alice.get(page)).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'; connect-src 'self'; "
        )
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
    assert SESSION_LIFETIME.days == 7


async def test_without_a_session_pages_lead_to_sign_in(world: World) -> None:
    path = await new_request(world)
    async with browser(world) as page, world.client("alice") as client:
        response = await page.get(path)
        assert response.status_code == 303
        address = httpx2.URL(response.headers["location"])
        assert (address.path, address.params["next"]) == ("/sign-in", path)
        form = await page.get(str(address))
        assert 'type="password"' in form.text
        token = client.headers["authorization"].removeprefix("Bearer ")
        refused = await page.post("/sign-in", data={"token": f"{token}x", "next": path})
        assert refused.status_code == 401
        assert token not in refused.text
        accepted = await page.post("/sign-in", data={"token": f" {token}\n", "next": path})
        assert accepted.headers["location"] == path
        assert (await page.get(path)).status_code == 200


@pytest.mark.parametrize("page", ["https://evil.example.com", "//evil.example.com", "/\\evil", ""])
async def test_sign_in_leads_to_our_own_pages_only(world: World, page: str) -> None:
    async with browser(world) as visitor, world.client("alice") as client:
        token = client.headers["authorization"].removeprefix("Bearer ")
        response = await visitor.post("/sign-in", data={"token": token, "next": page})
        assert response.headers["location"] == "/inbox"
        made = await client.post(f"{API}/sign-in-codes", json={"next": page})
        assert made.status_code == 422


async def test_a_code_signs_in_once(world: World) -> None:
    path = await new_request(world)
    async with world.client("alice") as client, browser(world) as first, browser(world) as second:
        url = httpx2.URL(
            (await client.post(f"{API}/sign-in-codes", json={"next": path})).json()["url"]
        )
        for _ in range(2):  # programs that check links open it, too
            shown = await first.get(url)
            assert "works once" in words(shown)
        data = dict(url.params)
        responses = await asyncio.gather(
            first.post("/sign-in", data=data), second.post("/sign-in", data=data)
        )
        assert min(r.status_code for r in responses) == 303
        assert (await second.post("/sign-in", data=data)).status_code == 401
        assert (await second.post("/sign-in", data={"code": "nonsense"})).status_code == 401
        forged = {"Cookie": f"perdure_session_{url.port}={data['code']}"}
        async with browser(world) as third:
            assert (await third.get(path, headers=forged)).status_code == 303
        async with world.gateway.database.reading() as rows:
            actions = await rows.scalars(
                select(AuditRow.action).order_by(AuditRow.id.desc()).limit(2)
            )
        assert actions.all() == ["user.sign_in", "user.create_sign_in_code"]


async def test_signing_out_ends_the_session_of_the_browser(world: World) -> None:
    page, other = await sign_in(world, "alice"), await sign_in(world, "alice")
    [cookie] = page.cookies.jar
    copied = {"Cookie": f"{cookie.name}={cookie.value}"}
    async with aclosing(page), aclosing(other), browser(world) as thief:
        assert (await thief.get("/inbox", headers=copied)).status_code == 200
        csrf = CSRF.search((await page.get("/inbox")).text)
        assert csrf
        signed_out = await page.post("/sign-out", data={"csrf": csrf[1]})
        assert signed_out.headers["location"] == "/sign-in"
        assert (await page.get("/inbox")).status_code == 303
        assert (await thief.get("/inbox", headers=copied)).status_code == 303
        assert (await other.get("/inbox")).status_code == 200
    async with world.gateway.database.reading() as rows:
        last = AuditRow.id.desc()
        assert await rows.scalar(select(AuditRow.action).order_by(last)) == "user.sign_out"


@pytest.mark.parametrize("scopes", [[], ["approve"]])
async def test_a_session_has_the_scopes_of_its_key(world: World, scopes: list[str]) -> None:
    question, approval = await new_request(world), await new_request(world, **APPROVAL)
    async with world.client("alice") as client, browser(world) as page:
        body = {"name": str(new_id()), "scopes": scopes}
        made = (await client.post(f"{API}/api-keys", json=body)).json()
        await page.post("/sign-in", data={"token": made["secret"]})
        answered = await submit(page, question, decision="approve", message="Blue.")
        assert answered.status_code == 303
        decided = await submit(page, approval, decision="approve", message="Because.")
        if scopes:
            assert decided.status_code == 303
        else:
            assert decided.status_code == 403
            assert "lack the scope approve" in words(decided).replace("`", "")
            assert "Because." in decided.text
            assert (await read_request(world, approval))["status"] == "open"


async def test_a_session_ends_with_its_key_and_its_user(world: World) -> None:
    async with world.client("carol") as client, world.client("root", role="admin") as admin:
        made = (await client.post(f"{API}/api-keys", json={"name": "browser"})).json()
        keyed, own = browser(world), await sign_in(world, "carol")
        await keyed.post("/sign-in", data={"token": made["secret"]})
        assert (await keyed.get("/inbox")).status_code == 200
        await client.delete(made["_links"]["self"])
        assert (await keyed.get("/inbox")).status_code == 303
        assert (await own.get("/inbox")).status_code == 200
        me = (await client.get(f"{API}/me")).json()
        await admin.patch(f"{API}/admin/users/{me['id']}", json={"is_disabled": True})
        disabled = await own.get("/inbox")
        assert disabled.status_code == 403
        assert "Your user is disabled" in words(disabled)
        await keyed.aclose()
        await own.aclose()


async def test_what_was_typed_survives_the_end_of_the_session(world: World) -> None:
    path = await new_request(world)
    async with browser(world) as page, world.client("alice") as client:
        sent = {"csrf": "old", "decision": "approve", "message": "A long\r\nanswer & more"}
        ended = await page.post(path, data=sent)
        assert ended.status_code == 401
        assert "your answer is kept" in words(ended)
        unsent = re.search(r'name="unsent" hidden>\n(.*?)</textarea>', ended.text, re.DOTALL)
        assert unsent
        token = client.headers["authorization"].removeprefix("Bearer ")
        data = {"token": token, "next": path, "unsent": unescape(unsent[1])}
        back = await page.post("/sign-in", data=data)
        assert back.status_code == 200
        fields = re.findall(
            r'name="(\w+)"(?: value="| hidden>\n)(.*?)(?:"|</textarea>)', back.text, re.DOTALL
        )
        shown = await page.post(path, data={name: unescape(value) for name, value in fields})
        assert shown.status_code == 200
        assert "A long\nanswer &amp; more</textarea>" in shown.text
        assert (await read_request(world, path))["status"] == "open"


@pytest.mark.parametrize("is_session_cached", [True, False])
async def test_what_was_typed_survives_an_outage_of_the_database(
    world: World, monkeypatch: pytest.MonkeyPatch, *, is_session_cached: bool
) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError

    path = await new_request(world)
    page = await sign_in(world, "alice")
    async with aclosing(page), world.client("alice") as client:
        csrf = CSRF.search((await page.get(path)).text)
        assert csrf
        if not is_session_cached:
            me = (await client.get(f"{API}/me")).json()
            world.gateway.authenticator.forget(UUID(me["id"]))
        sent = {"csrf": csrf[1], "decision": "approve", "message": "A long\nanswer & more"}
        with monkeypatch.context() as patch:
            patch.setattr(world.gateway.database, "_sessions", refuse)
            patch.setattr(world.gateway.database, "_readers", refuse)
            away = await page.post(path, data=sent)
        assert (away.status_code, away.headers["retry-after"]) == (503, "2")
        assert "Your text is kept" in words(away)
        found = re.findall(r'name="(\w+)" hidden>\n(.*?)</textarea>', away.text, re.DOTALL)
        kept = {name: unescape(value) for name, value in found}
        assert kept == sent
        assert (await page.post(path, data=kept)).status_code == 303
    assert (await read_request(world, path))["answer"]["message"] == sent["message"]


async def test_failed_sign_ins_are_limited(database_url: str, temporal_address: str) -> None:
    app = create_app(settings_of(database_url, temporal_address, failed_auth_limit="3/hour"))
    async with serve_app(app) as url, Client(base_url=url, timeout=60) as page:
        attempts = [await page.post("/sign-in", data={"token": "x"}) for _ in range(4)]
        assert [a.status_code for a in attempts] == [401, 401, 401, 429]
        assert "neither a token nor an API key" in attempts[0].text


async def test_with_tls_the_cookie_is_secure(database_url: str, temporal_address: str) -> None:
    given = {"public_url": "https://perdure.example.com", "secrets_key": None}
    app = create_app(settings_of(database_url, temporal_address, **given))
    async with serve_app(app) as url:
        public = World(url, app.state.gateway)
        async with browser(public) as page, public.client("alice") as client:
            token = client.headers["authorization"].removeprefix("Bearer ")
            response = await page.post("/sign-in", data={"token": token})
            made = (await client.post(f"{API}/sign-in-codes")).json()
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-perdure_session=")
    for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"):
        assert attribute in cookie
    assert made["url"].startswith("https://perdure.example.com/sign-in?")
