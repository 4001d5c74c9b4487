"""What the transport concludes from how a server answers."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI, Request, Response

from mcp_client.http import HttpServer
from tests.api.conftest import serve_app

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
CANCELLED = {"jsonrpc": "2.0", "method": "notifications/cancelled"}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that takes calls, and has forgotten the session for everything else."""
    app = FastAPI()

    async def answer(request: Request) -> Response:
        is_call = request.method == "POST" and (await request.json()).get("id") == 1
        return Response(status_code=200 if is_call else 404, headers={"Mcp-Session-Id": "s"})

    app.add_api_route("/mcp", answer, methods=["GET", "POST"])
    async with serve_app(app) as url:
        yield f"{url}/mcp"


async def test_only_the_answer_of_a_call_says_that_the_call_was_not_taken(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        server = HttpServer(client, url)
        await client.post(url, json=CALL)
        await client.get(url, headers={"Last-Event-ID": "1"})
        await client.post(url, json=CANCELLED)
        assert not server.is_expired
        await client.post(url, json={**CALL, "id": 2})
        assert server.is_expired


async def test_a_call_without_an_answer_is_not_judged_by_an_earlier_one(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        server = HttpServer(client, url)
        await client.post(url, json={**CALL, "id": 2})
        with pytest.raises(httpx2.ConnectError):
            await client.post("http://127.0.0.1:9/", json=CALL)
        assert not server.is_expired
