"""A proxy that adds credentials, for programs that can't send them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.api.conftest import serve_app

_HOP_BY_HOP = frozenset({"content-length", "transfer-encoding", "connection"})


@asynccontextmanager
async def authorizing_proxy(url: str, token: str) -> AsyncIterator[str]:
    """The address of a proxy for the server at `url`, which adds the token to each request."""
    async with httpx2.AsyncClient(base_url=url, timeout=None) as client:

        async def forward(request: Request) -> Response:
            given = request.headers.raw
            headers = [(name, v.strip()) for name, v in given if name != b"authorization"]
            headers.append((b"authorization", f"Bearer {token}".encode()))
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            forwarded = client.build_request(
                request.method, path, headers=headers, content=await request.body()
            )
            response = await client.send(forwarded, stream=True)
            kept = {n: v for n, v in response.headers.items() if n.lower() not in _HOP_BY_HOP}
            return StreamingResponse(response.aiter_raw(), response.status_code, kept)

        methods = ["GET", "POST", "DELETE", "OPTIONS"]
        app = Starlette(routes=[Route("/{path:path}", forward, methods=methods)])
        async with serve_app(app) as address:
            yield address
