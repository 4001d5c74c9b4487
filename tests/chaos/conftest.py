"""Stacks to be hurt. A test that leaves one unlike it was asks for one of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.stack import Stack, running_stack


@pytest.fixture(scope="package")
async def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """`perdure up`, one for all tests that leave it as it was; each has executions of its own."""
    async with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """`perdure up` on a home of the test's own."""
    async with running_stack(tmp_path) as stack:
        yield stack
