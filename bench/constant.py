"""The gateway with one more route, which answers a constant: what its frame costs by itself.

`uvicorn --factory bench.constant:app`
"""

from fastapi import FastAPI, Response

from api.main import create_app

PATH = "/constant"
BODY = b'{"id": "01a1fc39-7141-7178-8000-0000000f4178", "status": "completed"}'


def app() -> FastAPI:
    """The gateway of the environment's settings; the constant is found first."""
    gateway = create_app()
    gateway.add_api_route(PATH, constant)
    gateway.router.routes.insert(0, gateway.router.routes.pop())
    return gateway


async def constant() -> Response:
    """The constant."""
    return Response(BODY, media_type="application/json")
