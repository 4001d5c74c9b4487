"""The HTTP endpoint `/mcp`: authenticates, limits and hands requests to the MCP server.

Each request is complete in itself: no session is kept, so any gateway answers any request, and a
restart interrupts only the requests in progress.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from api.gateway import Gateway
from api.http.request_context import authenticated
from api.mcp.groups import groups_of
from api.mcp.server import CALL

PATH = "/mcp"

DISCOVER = "server/discover"
LISTEN = "subscriptions/listen"
METHOD_HEADER = "mcp-method"
"""Clients of the revision 2026-07-28 repeat the JSON-RPC method in it; the SDK refuses another."""


class McpEndpoint:
    """The ASGI application at `/mcp`."""

    def __init__(self, server: Server[Any], *, body_limit_bytes: int) -> None:
        """Answers with `server`, while `running` is active."""
        self._manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=body_limit_bytes
        )
        self.route = Route(PATH, self, include_in_schema=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests until the block ends."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        scope["route"] = self.route  # for metrics
        if scope["method"] != "POST":
            # The server sends nothing outside of responses, and there is no session to delete.
            raise HTTPException(405, headers={"Allow": "POST"})
        request = Request(scope, receive)
        if _is_discovery(request):
            await self._require_credentials(request)
        else:
            receive = await _admit(request, receive)
        await self._manager.handle_request(scope, receive, send)

    async def _require_credentials(self, request: Request) -> None:
        """Check the credentials without the database, so that a client always gets an answer.

        The answer contains only what the documentation contains too.
        """
        gateway: Gateway = request.app.state.gateway
        await gateway.authenticator.check_form(request.headers.get("authorization"))


def _is_discovery(request: Request) -> bool:
    """Whether the client asks what the server supports, in a revision that names the method."""
    is_modern = request.headers.get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS
    return is_modern and request.headers.get(METHOD_HEADER) == DISCOVER


async def _admit(request: Request, receive: Receive) -> Receive:
    """Authenticate a request and read its body within the limits; return the rest of the request.

    Raises:
        PerdureError: it is not authenticated, exceeds a limit, or its URL names no group.
    """
    call = await authenticated(request)
    groups_of(call)
    body = await call.body()
    request.scope[CALL] = call
    if request.headers.get(METHOD_HEADER) == LISTEN:
        call.become_stream()
    is_sent = False

    async def replay() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
