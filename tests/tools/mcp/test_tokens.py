"""A server that requires an access token, as a worker reaches it."""

from domain.mcp.auth import ClientCredentials
from domain.mcp.servers import ResolvedServer
from tests.api.conftest import serve_app
from tests.mcp_client.authorization_server import CLIENT, SECRET, AuthorizationServer
from tests.tools.mcp.conftest import Worker
from tests.tools.mcp.remote_server import RemoteServer


async def open_secret(_: str) -> str:
    return SECRET


async def test_all_requests_of_a_user_share_one_token(worker: Worker) -> None:
    issuer, shop = AuthorizationServer(), RemoteServer()
    async with serve_app(issuer.app) as url, shop.serve(issuer.guard):
        issuer.url, issuer.resource = url, shop.url
        worker.servers["shop"] = ResolvedServer(
            "shop",
            url=shop.url,
            credentials=ClientCredentials("client_credentials", CLIENT, "secret://client"),
            open_secret=open_secret,
        )
        async with worker.attempt() as attempt:
            assert "mcp__shop__files" in await attempt.pin()
            outcome = await attempt.call("mcp__shop__files")
            assert not outcome.is_error, outcome.text
            worker.servers["shop"] = ResolvedServer("shop", url=shop.url)
            outcome = await attempt.call("mcp__shop__files")
            assert "401" in outcome.text
    assert len(issuer.requests) == 1
    assert issuer.refused[0] == ""
