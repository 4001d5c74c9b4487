"""The gateway with one more route, which answers a constant: what its frame costs by itself.

`python -m bench.constant`, with the settings of the environment.
"""

from fastapi import FastAPI, Response

from api.main import create_app
from cli.gateway import run
from runtime.settings import Settings

PATH = "/constant"
BODY = b'{"id": "01a1fc39-7141-7178-8000-0000000f4178", "status": "completed"}'


def create_app_with_constant(settings: Settings) -> FastAPI:
    """The gateway of these settings; the constant is found first."""
    gateway = create_app(settings)
    gateway.add_api_route(PATH, constant)
    gateway.router.routes.insert(0, gateway.router.routes.pop())
    return gateway


async def constant() -> Response:
    """The constant."""
    return Response(BODY, media_type="application/json")


if __name__ == "__main__":
    given = Settings()
    run(create_app_with_constant(given), given)
