"""The command line in this process, at a real gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.main import create_app
from cli.main import app
from cli.tokens import mint
from tests.api.conftest import serving, settings_of
from tests.api.world import SECRET, World

Command = Callable[..., Coroutine[Any, Any, Result]]


@pytest.fixture
async def world(database_url: str, temporal_address: str, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with a database of the test's own."""
    settings = settings_of(
        database_url, temporal_address, home=tmp_path, outbound_allow="127.0.0.1"
    )
    gateway = create_app(settings)
    async with serving(gateway) as url:
        yield World(url, gateway.state.gateway)


@pytest.fixture
def perdure(world: World) -> Command:
    """The command as `alice` gives it, or another `user`; what it asks is answered by `typed`."""

    async def run(
        *arguments: str, user: str = "alice", role: str = "user", typed: str | None = None
    ) -> Result:
        token = mint(SECRET, user=user, role=role, lives=timedelta(hours=1))
        given = ["--api-url", world.url, "--token", token, *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, given, input=typed)

    return run
