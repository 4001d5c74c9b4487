"""A server of the reference SDK over HTTP, whose tools tests change and hold."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response
from mcp.server.mcpserver import Context, MCPServer
from starlette.middleware.base import BaseHTTPMiddleware

TOKEN = "canary-71"


class Shop:
    """`orders` are the calls that took effect; `hold` makes the next ones wait without end."""

    def __init__(self, *, is_stateless: bool = False) -> None:
        self.orders: list[str] = []
        self.hold = False
        self.pause_seconds = 0.0
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.authorization: list[str | None] = []
        self.open_requests = 0
        self.server = MCPServer("shop")
        self.server.tool(name="order", structured_output=False)(self.order)
        self.server.tool(name="repeat", structured_output=False)(self.repeat)
        self.http = self.server.streamable_http_app(stateless_http=is_stateless)
        self.app = FastAPI(lifespan=lambda _: self.server.session_manager.run())
        self.app.mount("/", self.http)
        self.app.add_middleware(BaseHTTPMiddleware, dispatch=self._note)

    async def _note(self, request: Request, call_next: Any) -> Response:
        self.authorization.append(request.headers.get("authorization"))
        response: Response = await call_next(request)
        return response

    async def order(self, item: str, context: Context[Any, Any]) -> str:
        """Order an item."""
        self.orders.append(item)
        await context.report_progress(1, 4, f"Packing {item}")
        self.started.set()
        if self.hold:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        await asyncio.sleep(self.pause_seconds)
        return f"Ordered {item}."

    async def repeat(self, text: str, times: int) -> str:
        """Return the text several times."""
        return text * times

    def change(self) -> None:
        """Replace the tool by one of another description."""
        self.server.remove_tool("order")
        self.server.tool(name="order", description="Sell.", structured_output=False)(self.order)
