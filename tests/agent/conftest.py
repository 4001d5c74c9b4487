"""Executions on ports in memory."""

from collections.abc import AsyncIterator

import pytest

from tests.agent.in_memory.driver import Runner


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    """Starts executions and moves them; nothing is left running."""
    started = Runner()
    yield started
    await started.close()
