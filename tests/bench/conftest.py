from collections.abc import AsyncIterator

import pytest

from bench.world import World


@pytest.fixture(scope="session")
async def world() -> AsyncIterator[World]:
    """The servers of the bench, started once for all tests that only add executions to them."""
    async with World.running() as world:
        yield world
