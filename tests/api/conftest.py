"""A gateway over real HTTP, on a real database and a real Temporal, in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette

from api.gateway import Gateway
from api.http.connections import Connections
from api.main import create_app
from runtime.settings import Settings
from tests.api.world import SECRET, World


@asynccontextmanager
async def serve_app(app: Starlette, *, port: int = 0, **limits: object) -> AsyncIterator[str]:
    """The address of the app, served by uvicorn while the block lasts; on a free port for 0."""
    config = uvicorn.Config(
        app,
        port=port,
        http=Connections.of(Settings.model_validate(limits)).protocol,  # type: ignore[arg-type]  # uvicorn calls it
        lifespan="on",
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


def settings_of(database_url: str, temporal_address: str, **changed: object) -> Settings:
    """Settings of a gateway under test."""
    return Settings.model_validate(
        {
            "database_url": database_url,
            "temporal_address": temporal_address,
            "temporal_ui_url": "http://localhost:8233",
            "jwt_secret": SECRET,
            "secrets_key": SECRET,
            "log_level": "error",
            "rate_limit": "",
            "notification_test_limit": "",
            "failed_auth_limit": "",  # tests that walk all routes are refused often
            "home": "/nonexistent",  # tests that store files pass a directory
            "api_body_limit_bytes": 6 * 1024 * 1024,
            **changed,
        }
    )


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A gateway with a database of the module's own."""
    home = tmp_path_factory.mktemp("home")
    app = create_app(settings_of(module_database_url, temporal_address, home=home))
    async with serve_app(app) as url:
        gateway: Gateway = app.state.gateway
        yield World(url, gateway)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the token of `alice`."""
    async with world.client("alice") as client:
        yield client


@pytest.fixture
async def other(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the token of `bob`."""
    async with world.client("bob") as client:
        yield client


@pytest.fixture
async def admin(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the token of an admin."""
    async with world.client("root", role="admin") as client:
        yield client
