"""A scripted server, and the adapter that talks to it over HTTP through the real SDK."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from claude.adapter import ClaudeModel
from claude.scripted import ScriptedModelServer


@pytest.fixture(scope="session")
def scripted() -> Iterator[ScriptedModelServer]:
    with ScriptedModelServer() as server:
        yield server


@pytest.fixture(scope="session")
async def model(scripted: ScriptedModelServer) -> AsyncIterator[ClaudeModel]:
    claude = ClaudeModel.create(base_url=scripted.base_url, api_key="any")
    yield claude
    await claude.close()


Connect = Callable[..., ClaudeModel]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes models; they are closed however the test ends."""
    async with AsyncExitStack() as stack:

        def make(**given: Any) -> ClaudeModel:
            claude = ClaudeModel.create(**given)
            stack.push_async_callback(claude.close)
            return claude

        yield make
