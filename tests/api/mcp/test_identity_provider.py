"""A client finds the identity provider, gets a token from it, and opens the server with it."""

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from html import unescape

import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from api.main import create_app
from bench.packages import NODE
from cli.stack.addresses import free_port
from runtime.settings import Settings
from tests.api.conftest import serve_app, settings_of
from tests.api.mcp.agents import call
from tests.node import IDENTITY_PROVIDER, installed_packages

CALLBACK = "http://127.0.0.1:1/callback"
FORM = re.compile(r'action="([^"]+)"')
PROMPT = re.compile(r'name="prompt" value="(\w+)"')


@pytest.fixture
async def issuer() -> AsyncIterator[str]:
    """The URL of a certified implementation of OpenID Connect, which accepts every login."""
    # node looks for packages beside the program.
    program = shutil.copy(IDENTITY_PROVIDER, installed_packages().parent)
    run = await asyncio.create_subprocess_exec(NODE, program, stdout=PIPE, stderr=DEVNULL)
    assert run.stdout is not None
    yield (await run.stdout.readline()).decode().strip()
    run.terminate()
    await run.wait()


class Person:
    """A person who signs in with a browser, and the client's memory of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[httpx2.URL] = []
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info

    async def open(self, url: str) -> None:
        self.asked.append(httpx2.URL(url))

    async def sign_in(self) -> AuthorizationCodeResult:
        """Sign in on the page that was opened, and agree; the code that the browser gets."""
        async with httpx2.AsyncClient() as browser:
            response = await browser.get(self.asked[-1])
            while True:
                url = response.headers.get("location")
                if url is None:
                    form, prompt = FORM.search(response.text), PROMPT.search(response.text)
                    assert form, response.text
                    assert prompt, response.text
                    data = {"prompt": prompt[1], "login": self.name, "password": "any"}
                    action = response.url.join(unescape(form[1]))
                    response = await browser.post(action, data=data)
                elif url.startswith(CALLBACK):
                    given = httpx2.URL(url).params
                    return AuthorizationCodeResult(
                        code=given["code"], state=given.get("state"), iss=given.get("iss")
                    )
                else:
                    response = await browser.get(response.url.join(url))

    def authorize(self, server: str) -> OAuthClientProvider:
        """The OAuth client of the MCP SDK, which registers itself."""
        metadata = OAuthClientMetadata(
            redirect_uris=[AnyUrl(CALLBACK)],
            client_name="tests",
            token_endpoint_auth_method="none",
        )
        return OAuthClientProvider(server, metadata, self, self.open, self.sign_in)


def settings_for(issuer: str, audience: str, database_url: str, temporal_address: str) -> Settings:
    return settings_of(
        database_url,
        temporal_address,
        jwks_url=f"{issuer}/jwks",
        jwt_issuer=issuer,
        jwt_audience=audience,
        mcp_oauth_scopes="perdure",
    )


async def test_a_client_signs_in_through_an_identity_provider(
    issuer: str, database_url: str, temporal_address: str
) -> None:
    port, person = free_port(), Person("alice@example.com")
    server = f"http://127.0.0.1:{port}/mcp"
    app = create_app(settings_for(issuer, server, database_url, temporal_address))
    async with (
        serve_app(app, port=port) as address,
        httpx2.AsyncClient(auth=person.authorize(server), timeout=60) as http,
    ):
        async with Client(streamable_http_client(server, http_client=http)) as client:
            await call(client, "create_task", name="greet", prompt_template="Hello.")
        assert person.tokens is not None
        bearer = {"Authorization": f"Bearer {person.tokens.access_token}"}
        me = await http.get(f"{address}/api/v1/me", headers=bearer)
        [asked] = person.asked
        assert asked.params["resource"] == server
        assert "perdure" in asked.params["scope"].split()
        assert me.json()["subject"] == person.name
    other = create_app(settings_for(issuer, f"{server}/other", database_url, temporal_address))
    async with serve_app(other) as address, httpx2.AsyncClient() as http:
        refused = await http.post(f"{address}/mcp", headers=bearer)
    assert refused.status_code == 401
    assert 'resource_metadata="' in refused.headers["www-authenticate"]
