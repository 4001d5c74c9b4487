"""Health checks of registered MCP servers: by the client that workers use, with its secrets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from mcp.types.version import LATEST_MODERN_VERSION

from api.main import create_app
from cli.stack.addresses import free_port
from tests.api.conftest import serve_app, settings_of
from tests.api.test_mcp_servers import CANARY, make_server
from tests.api.world import World
from tests.mcp_client.authorization_server import CLIENT, SECRET, AuthorizationServer
from tests.tools.mcp.remote_server import RemoteServer

Client = httpx2.AsyncClient

RESULTS: dict[str, Any] = {
    "initialize": {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}, "prompts": {}},
        "serverInfo": {"name": "shop", "version": "1.2", "secret": "hidden"},
    },
    "tools/list": {"tools": [{"name": "order", "inputSchema": {"type": "object"}}]},
}


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A gateway that may reach servers on this machine."""
    home = tmp_path_factory.mktemp("home")
    settings = settings_of(
        module_database_url, temporal_address, home=home, outbound_allow="127.0.0.1"
    )
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


class Shop:
    """An MCP server of an earlier revision, which records the requests that it receives."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.url = ""
        self.app.add_api_route("/json", self.answer, methods=["GET", "POST", "DELETE"])
        self.app.add_api_route("/locked", self.locked, methods=["POST"])
        self.app.add_api_route("/other", self.other, methods=["POST"])
        self.app.add_api_route("/error", self.error, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        self.seen.append((request.method, dict(request.headers)))
        if request.method != "POST":
            return Response(status_code=204 if request.method == "DELETE" else 405)
        asked = await request.json()
        if "id" not in asked:
            return Response(status_code=202)
        result = RESULTS.get(asked["method"])
        found = (
            {"error": {"code": -32601, "message": "no"}} if result is None else {"result": result}
        )
        answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **found})
        headers = {"Mcp-Session-Id": "session-7"} if asked["method"] == "initialize" else {}
        return Response(answer, media_type="application/json", headers=headers)

    async def locked(self) -> Response:
        return Response("who are you?", 401)

    async def other(self) -> Response:
        return Response("<html>", media_type="text/html")

    async def error(self, request: Request) -> Response:
        found = {"error": {"code": -1, "message": "not today"}}
        answer = json.dumps({"jsonrpc": "2.0", "id": (await request.json()).get("id"), **found})
        return Response(answer, media_type="application/json")


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    async with serve_app(shop.app) as url:
        shop.url = url
        yield shop


async def check(client: Client, server: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(server["_links"]["health_check"])
    assert response.status_code == 200, response.text
    health: dict[str, Any] = response.json()
    return health


async def test_a_masked_value_stays_as_it_was(client: Client, shop: Shop) -> None:
    server = await make_server(client, url=f"{shop.url}/json", headers={"Authorization": CANARY})
    path = server["_links"]["self"]
    await client.patch(path, json={"description": "x", "headers": server["headers"]})
    await check(client, server)
    assert shop.seen[-1][1]["authorization"] == CANARY


async def test_a_server_of_an_earlier_revision_is_healthy(client: Client, shop: Shop) -> None:
    server = await make_server(client, url=f"{shop.url}/json")
    health = await check(client, server)
    assert (health["status"], health["detail"]) == ("healthy", None)
    assert health["server_info"] == {
        "name": "shop",
        "version": "1.2",
        "capabilities": ["prompts", "tools"],
    }
    assert (health["protocol_version"], health["tool_count"]) == ("2025-06-18", 1)
    assert health["latency_ms"] >= 0
    assert (await client.get(server["_links"]["self"])).json()["health"] == health
    changed = await client.patch(server["_links"]["self"], json={"url": f"{shop.url}/other"})
    assert changed.json()["health"] is None


async def test_a_server_of_the_newest_revision_gets_an_access_token(
    client: Client,
) -> None:
    issuer, remote = AuthorizationServer(), RemoteServer()
    secret = {"value": SECRET, "hosts": ["127.0.0.1"], "tools": []}
    assert (await client.put("/api/v1/secrets/client", json=secret)).status_code < 300
    auth = {"type": "client_credentials", "client_id": CLIENT, "secret": "secret://client"}
    async with serve_app(issuer.app) as issuer.url, remote.serve(issuer.guard):
        issuer.resource = remote.url
        server = await make_server(client, url=remote.url, auth=auth)
        for _ in range(2):
            health = await check(client, server)
            assert health["status"] == "healthy", health["detail"]
    assert (health["protocol_version"], health["tool_count"]) == (LATEST_MODERN_VERSION, 3)
    assert len(issuer.requests) == 1


@pytest.mark.parametrize(
    ("place", "detail"),
    [
        ("locked", "401"),
        ("other", "text/html"),
        ("error", "not today"),
        ("no", "404"),
    ],
)
async def test_a_faulty_server_is_reported(
    client: Client, shop: Shop, place: str, detail: str
) -> None:
    health = await check(client, await make_server(client, url=f"{shop.url}/{place}"))
    assert health["status"] == "unhealthy"
    assert detail in health["detail"]


async def test_an_unavailable_server_is_unhealthy(client: Client) -> None:
    health = await check(client, await make_server(client, url=f"http://127.0.0.1:{free_port()}/"))
    assert health["status"] == "unhealthy"


async def test_secrets_go_to_their_hosts_only(client: Client, shop: Shop) -> None:
    for name, value, hosts in (
        ("own", CANARY, ["127.0.0.1"]),
        ("odd", "ü\n", ["127.0.0.1"]),
        ("elsewhere", CANARY, ["example.com"]),
    ):
        secret = {"value": value, "hosts": hosts, "tools": []}
        assert (await client.put(f"/api/v1/secrets/{name}", json=secret)).status_code < 300

    async def checked(reference: str) -> dict[str, Any]:
        headers = {"Authorization": reference}
        return await check(
            client, await make_server(client, url=f"{shop.url}/json", headers=headers)
        )

    assert (await checked("Bearer secret://own"))["status"] == "healthy"
    assert shop.seen[-1][1]["authorization"] == f"Bearer {CANARY}"
    before = len(shop.seen)
    assert "may not be sent" in (await checked("secret://elsewhere"))["detail"]
    assert "no secret" in (await checked("secret://none"))["detail"]
    assert "not valid in an HTTP header" in (await checked("secret://odd"))["detail"]
    assert len(shop.seen) == before
