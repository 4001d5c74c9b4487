"""People sign in at a certified implementation of OpenID Connect, in a browser without scripts."""

import re
import time
from collections.abc import AsyncIterator
from html import unescape

import httpx2
import pytest

from api.auth.tokens import Claims
from api.main import create_app
from cli.stack.addresses import free_port
from persistence.identity import users
from tests.api.browsing import words
from tests.api.conftest import serve_app, settings_of
from tests.api.mcp.test_identity_provider import FORM, PROMPT, issuer
from tests.api.world import World

__all__ = ["issuer"]

PASSWORD = "a client secret"


@pytest.fixture
async def world(issuer: str, database_url: str, temporal_address: str) -> AsyncIterator[World]:
    """A gateway that is a client of the provider."""
    port = free_port()
    callback = f"http://127.0.0.1:{port}/sign-in/callback"
    async with httpx2.AsyncClient() as client:
        body = {
            "redirect_uris": [callback],
            "post_logout_redirect_uris": [callback.removesuffix("/callback")],
            "token_endpoint_auth_method": "client_secret_basic",
        }
        made = (await client.post(f"{issuer}/reg", json=body)).json()
    app = create_app(
        settings_of(
            database_url,
            temporal_address,
            jwks_url=f"{issuer}/jwks",
            jwt_issuer=issuer,
            jwt_audience="perdure",
            oidc_client_id=made["client_id"],
            oidc_client_secret=made["client_secret"],
            jwt_groups_claim="groups",
        )
    )
    async with serve_app(app, port=port) as url:
        yield World(url, app.state.gateway)


async def follow(browser: httpx2.AsyncClient, address: str, until: str) -> httpx2.Response:
    """Follow redirects and fill in the forms of the provider; the response at `until`."""
    response = await browser.get(address)
    while True:
        location = response.headers.get("location")
        if location is None:
            form, prompt = FORM.search(response.text), PROMPT.search(response.text)
            assert form, response.text
            assert prompt, response.text
            data = {"prompt": prompt[1], "login": "ada", "password": "any"}
            action = response.url.join(unescape(form[1]))
            response = await browser.post(action, data=data)
        elif until in location:
            return response
        else:
            response = await browser.get(response.url.join(location))


async def test_a_person_signs_in_at_the_provider(world: World) -> None:
    named = Claims("ada", "user", time.time() + 60, frozenset(), groups=("lawyers",))
    await world.gateway.authenticator.admit(named)
    async with httpx2.AsyncClient(base_url=world.url, timeout=60) as browser:
        page = await browser.get("/sign-in?next=/keys")
        link = re.search(r'href="(/sign-in/provider[^"]*)"', page.text)
        assert link
        sent = await follow(browser, unescape(link[1]), until="/sign-in/callback")
        callback = sent.headers["location"]
        for forged in (
            re.sub("state=[^&]+", "state=other", callback),
            re.sub("code=[^&]+", "code=other", callback),
        ):
            refused = await browser.get(forged)
            assert refused.status_code == 401, words(refused)
        refusal = re.sub("code=[^&]+", "error=access_denied&error_description=Ask+ada", callback)
        refused = await browser.get(refusal)
        assert refused.status_code == 401
        assert "refused the sign-in: Ask ada" in words(refused)
        async with httpx2.AsyncClient(base_url=world.url) as other:
            assert (await other.get(callback)).status_code == 401
        sent = await follow(browser, unescape(link[1]), until="/sign-in/callback")
        entered = await browser.get(sent.headers["location"])
        assert entered.headers["location"] == "/keys", words(entered)
        assert "Signed in as ada" in words(await browser.get("/keys"))
        async with world.gateway.database.reading() as session:
            ada = await users.find_by_subject(session, "ada")
        assert ada is not None
        assert ada.claimed_groups == []  # the ID token named none
        again = await browser.get(sent.headers["location"])
        assert again.status_code == 401
        await require_sign_out(browser)


async def require_sign_out(browser: httpx2.AsyncClient) -> None:
    """The sign-out ends the session here, and leads on to the provider and back."""
    csrf = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/keys")).text)
    assert csrf
    out = await browser.post("/sign-out", data={"csrf": csrf[1]})
    address = re.search(r'content="0; url=([^"]+)"', out.text)
    assert address, words(out)
    assert (await browser.get("/keys")).headers["location"].startswith("/sign-in")
    asked = await browser.get(unescape(address[1]))
    form = re.search(r'action="([^"]+)"', asked.text)
    secret = re.search(r'name="xsrf" value="([^"]+)"', asked.text)
    assert form, asked.text
    assert secret, asked.text
    ended = await browser.post(unescape(form[1]), data={"xsrf": secret[1], "logout": "yes"})
    assert ended.headers["location"].startswith(f"{browser.base_url}/sign-in")


async def test_without_a_provider_there_is_no_link(
    database_url: str, temporal_address: str
) -> None:
    async with (
        serve_app(create_app(settings_of(database_url, temporal_address))) as url,
        httpx2.AsyncClient(base_url=url) as browser,
    ):
        assert "/sign-in/provider" not in (await browser.get("/sign-in")).text
        assert (await browser.get("/sign-in/provider")).status_code == 404
