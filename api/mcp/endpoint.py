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
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from api.gateway import Gateway
from api.http.bodies import parse_beside, require_few_values
from api.http.request_context import Call, authenticate_request
from api.mcp.catalogue import CATALOGUE
from api.mcp.context import CALL
from api.mcp.elicitation import apply_reply
from api.mcp.groups import groups_of
from api.mcp.legacy import LegacyTransport
from api.mcp.resource_metadata import refuse_unauthenticated
from api.mcp.server import create_server
from api.mcp.state_keys import derive_state_keys
from domain.errors import UnauthenticatedError
from runtime.settings import Settings

DISCOVER = "server/discover"
LISTEN = "subscriptions/listen"
METHOD_HEADER = "mcp-method"
"""Clients of the revision 2026-07-28 repeat the JSON-RPC method in it; the SDK refuses another."""


def create_endpoint(settings: Settings, *, version: str) -> "McpEndpoint":
    """The endpoint of a gateway, with all tools."""
    server = create_server(CATALOGUE, version=version, state_keys=derive_state_keys(settings))
    return McpEndpoint(server, body_limit_bytes=settings.api_body_limit_bytes)


class McpEndpoint:
    """Answers the requests to `/mcp`; an ASGI application."""

    def __init__(self, server: Server[Any], *, body_limit_bytes: int) -> None:
        """Answers with `server`, while `running` is active."""
        self._manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=body_limit_bytes
        )
        self._legacy = LegacyTransport(server, apply_reply)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests until the block ends."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        try:
            await self._handle(request, send)
        except UnauthenticatedError as error:
            await refuse_unauthenticated(request, error)(scope, receive, send)

    async def _handle(self, request: Request, send: Send) -> None:
        scope, receive = request.scope, request.receive
        version = request.headers.get(MCP_PROTOCOL_VERSION_HEADER)
        if version in MODERN_PROTOCOL_VERSIONS and request.headers.get(METHOD_HEADER) == DISCOVER:
            gateway: Gateway = scope["app"].state.gateway
            # Without the database, so that the client always gets an answer. It contains only what
            # the documentation contains too.
            await gateway.authenticator.check_form(request.headers.get("authorization"))
            await self._manager.handle_request(scope, receive, send)
            return
        call = await _admit(request)
        body = await call.body()
        await parse_beside(len(body), require_few_values, body, "body")
        if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._legacy.handle(call, body, send)
        else:
            await self._manager.handle_request(scope, _replay_body(body, receive), send)


async def _admit(request: Request) -> Call:
    """Authenticate a request and count it against the user's limits.

    Raises:
        PerdureError: it is not authenticated, exceeds a limit, or its URL names no group.
    """
    call = request.scope[CALL] = await authenticate_request(request)
    groups_of(call)
    if request.headers.get(METHOD_HEADER) == LISTEN:
        call.become_stream()
    return call


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """The messages of a request whose body was read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
