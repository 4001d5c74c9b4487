"""A gateway beside the worker of the session's engine, for the tests that start with a request."""

from collections.abc import AsyncIterator

import pytest

from api.main import create_app
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World
from tests.engine.driver import Engine
from tests.engine.running import WorkerPlace
from tests.workflows.system import System


@pytest.fixture(scope="session")
async def gateway_world(engine_place: WorkerPlace) -> AsyncIterator[World]:
    settings = settings_of(
        engine_place.database_url,
        engine_place.temporal_address,
        temporal_namespace=engine_place.namespace,
        home=engine_place.home,
    )
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


@pytest.fixture(scope="session")
async def system(engine: Engine, gateway_world: World) -> AsyncIterator[System]:
    """The driver and the client are the same user, alice."""
    async with gateway_world.client("alice") as client:
        yield System(engine, client)


@pytest.fixture
async def other(engine: Engine, gateway_world: World) -> AsyncIterator[System]:
    """The same with a client of another user."""
    async with gateway_world.client("bob") as client:
        yield System(engine, client)
