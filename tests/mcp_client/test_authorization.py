"""Access tokens from a real authorization server, over checked addresses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from domain.errors import AddressRefusedError, McpServerError, SecretUnusableError
from domain.mcp.auth import ClientCredentials
from mcp_client.authorization import AccessTokens, BearerAuth
from runtime.outbound import Outbound
from tests.api.conftest import serve_app
from tests.mcp_client.authorization_server import CLIENT, SECRET, AuthorizationServer

BY_SECRET = ClientCredentials("client_credentials", CLIENT, "secret://client")
BY_KEY = ClientCredentials("private_key_jwt", CLIENT, "secret://key")


@pytest.fixture
async def server() -> AsyncIterator[AuthorizationServer]:
    made = AuthorizationServer()
    async with serve_app(made.app) as url:
        made.url = url
        yield made


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    made = Outbound(["127.0.0.1"])
    yield made
    await made.aclose()


def tokens_of(
    server: AuthorizationServer, outbound: Outbound, credentials: ClientCredentials = BY_SECRET
) -> AccessTokens:
    async def open_secret(host: str) -> str:
        if host != "127.0.0.1":
            raise SecretUnusableError(f"The secret may not be sent to {host}.")
        return SECRET if credentials.type == "client_credentials" else server.private_key

    url = f"{server.url}/mcp"
    return AccessTokens(url, credentials, send=outbound.send, open_secret=open_secret)


async def post(server: AuthorizationServer, tokens: AccessTokens) -> httpx2.Response:
    async with httpx2.AsyncClient(auth=BearerAuth(tokens)) as client:
        return await client.post(f"{server.url}/mcp", content=b"hello")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_token_is_requested_once_and_sent_with_every_request(
    server: AuthorizationServer, outbound: Outbound, method: str
) -> None:
    server.methods = (method,)
    tokens = tokens_of(server, outbound)
    answers = await asyncio.gather(*(post(server, tokens) for _ in range(5)))
    answers.append(await post(server, tokens))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b"hello")}
    [request] = server.requests
    assert request["scope"] == "tools"
    assert ("client_secret" in request) == (method == "client_secret_post")


async def test_a_private_key_signs_and_is_never_sent(
    server: AuthorizationServer, outbound: Outbound
) -> None:
    answer = await post(server, tokens_of(server, outbound, BY_KEY))
    assert answer.status_code == 200
    [request] = server.requests
    assert request["client_assertion"].count(".") == 2
    assert "PRIVATE" not in str(request)


async def test_a_token_that_ends_is_replaced(
    server: AuthorizationServer, outbound: Outbound
) -> None:
    tokens = tokens_of(server, outbound)
    await post(server, tokens)
    server.revoked = set(server.tokens)
    assert (await post(server, tokens)).status_code == 200
    assert len(server.requests) == 2
    server.seconds = 1  # less than a request may take, so it is used once
    server.revoked = set(server.tokens)
    await post(server, tokens)
    assert tokens.current is None


async def test_a_refused_token_is_not_sent_again(
    server: AuthorizationServer, outbound: Outbound
) -> None:
    tokens = tokens_of(server, outbound)
    await post(server, tokens)
    server.revoked = set(server.tokens)
    server.metadata = {"issuer": "https://other.example.com"}
    with pytest.raises(McpServerError):  # there is no new one
        await post(server, tokens)
    assert tokens.current is None
    server.metadata = {}
    server.revoked = {"token-2"}  # as soon as it is issued
    assert (await post(server, tokens)).status_code == 401
    assert tokens.current is None
    assert (await post(server, tokens)).status_code == 200


async def test_a_wider_scope_is_requested_when_the_server_asks(
    server: AuthorizationServer, outbound: Outbound
) -> None:
    tokens = tokens_of(server, outbound, replace(BY_SECRET, scope="tools"))
    await post(server, tokens)
    server.scope = "admin"
    assert (await post(server, tokens)).status_code == 200
    assert [request["scope"] for request in server.requests] == ["tools", "tools admin"]
    server.scope = None
    server.revoked = set(server.tokens)
    assert (await post(server, tokens)).status_code == 200
    assert server.requests[-1]["scope"] == "tools admin"


async def test_a_refusal_is_a_reason_without_the_secret(
    server: AuthorizationServer, outbound: Outbound
) -> None:
    with pytest.raises(McpServerError, match="invalid_client: no such client") as refused:
        await post(server, tokens_of(server, outbound, replace(BY_SECRET, client_id="other")))
    assert refused.value.is_final
    assert SECRET not in str(refused.value)
    wrong = replace(BY_KEY, algorithm="ES256")
    with pytest.raises(McpServerError, match="not a PEM key for ES256") as refused:
        await post(server, tokens_of(server, outbound, wrong))
    assert refused.value.__cause__ is None


async def test_credentials_go_only_where_they_may(
    server: AuthorizationServer, outbound: Outbound
) -> None:
    other = replace(BY_SECRET, issuer=f"{server.url}/other")
    with pytest.raises(McpServerError, match="has no metadata"):
        await post(server, tokens_of(server, outbound, other))
    server.metadata = {"issuer": "https://evil.example.com"}
    with pytest.raises(McpServerError, match="another issuer"):
        await post(server, tokens_of(server, outbound))
    server.metadata = {"token_endpoint": f"{server.url.replace('127.0.0.1', 'localhost')}/tokens"}
    with pytest.raises(SecretUnusableError, match="localhost"):
        await post(server, tokens_of(server, outbound))
    guarded = Outbound()
    with pytest.raises(AddressRefusedError):
        await post(server, tokens_of(server, guarded))
    await guarded.aclose()
    assert server.requests == []
