"""A gateway beside a worker, so that what an agent starts is worked on."""

from collections.abc import AsyncIterator

import pytest

from api.main import create_app
from tests.api.conftest import serve_app, settings_of
from tests.api.world import World
from tests.engine.driver import Engine
from tests.engine.running import WorkerPlace


@pytest.fixture(scope="module")
async def live(engine: Engine, engine_place: WorkerPlace) -> AsyncIterator[World]:
    """A gateway on the database and the Temporal of the worker of `engine`."""
    settings = settings_of(
        engine_place.database_url,
        engine_place.temporal_address,
        temporal_namespace=engine_place.namespace,
        home=engine.home,
    )
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)
