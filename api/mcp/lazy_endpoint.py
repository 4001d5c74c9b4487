"""The route `/mcp` of a gateway, whose MCP server is loaded when the gateway is ready.

The SDK and the tools take most of a second of processor time to load, and 8 s on a busy machine
(measured). A gateway that starts does not wait for that, and neither should a client: if
`server/discover` takes longer than 5 s, Claude Code 2.1.332 uses an older revision of the protocol,
without tasks, as long as it is connected (measured 2026-11-29).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.mcp.resource_metadata import PATH
from runtime.settings import Settings

if TYPE_CHECKING:
    from api.mcp.endpoint import McpEndpoint

IDLE_SECONDS = 1.0
"""The server is loaded after this time without a request to it (chosen: the gateway has started,
and has answered the first health checks)."""


class LazyMcpEndpoint:
    """The ASGI application at `/mcp`; it loads `McpEndpoint` at a request or soon after start."""

    def __init__(self, settings: Settings, *, version: str) -> None:
        """Answers while `running` is active; clients see `version`."""
        self._settings = settings
        self._version = version
        self._requested = asyncio.Event()
        self._loaded: asyncio.Future[McpEndpoint]
        # The server sends nothing outside of responses, and there is no session to delete.
        self.route = Route(PATH, self, methods=["POST"], include_in_schema=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests until the block ends."""
        self._loaded = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(self._serve())
        try:
            yield
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        self._requested.set()
        endpoint = await asyncio.shield(self._loaded)
        scope["route"] = self.route  # for metrics
        await endpoint(scope, receive, send)

    async def _serve(self) -> None:
        """Load the endpoint and keep it running. One task, as its SDK requires."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._requested.wait(), IDLE_SECONDS)
        async with AsyncExitStack() as stack:
            try:
                endpoint = await asyncio.to_thread(self._load)
                await stack.enter_async_context(endpoint.running())
            except Exception as error:  # noqa: BLE001 - each request reports it
                self._loaded.set_exception(error)
                return
            self._loaded.set_result(endpoint)
            await asyncio.Event().wait()

    def _load(self) -> "McpEndpoint":
        from api.mcp.endpoint import create_endpoint  # noqa: PLC0415 - loads the SDK

        return create_endpoint(self._settings, version=self._version)
