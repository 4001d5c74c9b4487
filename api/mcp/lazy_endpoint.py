"""The route `/mcp` of a gateway, whose MCP server is loaded at the first request.

The SDK and the tools take 20 MB and most of a second of processor time to load (measured), and many
gateways serve no MCP client.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.mcp.resource_metadata import PATH
from runtime.settings import Settings

if TYPE_CHECKING:
    from api.mcp.endpoint import McpEndpoint


class LazyMcpEndpoint:
    """The ASGI application at `/mcp`, which loads `McpEndpoint` when it is first needed."""

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
        await self._requested.wait()
        try:
            endpoint = await asyncio.to_thread(self._load)
        except Exception as error:  # noqa: BLE001 - each request reports it
            self._loaded.set_exception(error)
            return
        async with endpoint.running():
            self._loaded.set_result(endpoint)
            await asyncio.Event().wait()

    def _load(self) -> "McpEndpoint":
        from api.mcp.endpoint import create_endpoint  # noqa: PLC0415 - loads the SDK

        return create_endpoint(self._settings, version=self._version)
