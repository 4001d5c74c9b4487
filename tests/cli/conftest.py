"""The command line in this process, at a gateway of the test's own or at the shared stack."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from api.main import create_app
from cli.tokens import mint
from tests.api.conftest import serve_app, settings_of
from tests.api.world import SECRET, World
from tests.cli.runner import Invocation, invoke
from tests.stack import Up

Command = Callable[..., Coroutine[Any, Any, Invocation]]


class StackCommand(Protocol):
    """A command at the shared stack."""

    def __call__(self, *arguments: str) -> Invocation: ...


@pytest.fixture
async def world(database_url: str, temporal_address: str, tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with a database of the test's own."""
    settings = settings_of(
        database_url, temporal_address, home=tmp_path, outbound_allow="127.0.0.1"
    )
    gateway = create_app(settings)
    async with serve_app(gateway) as url:
        yield World(url, gateway.state.gateway)


@pytest.fixture
def perdure(world: World) -> Command:
    """Run a command as `alice` or another `user`; `typed` is its stdin."""

    async def run(
        *arguments: str, user: str = "alice", role: str = "user", typed: str | None = None
    ) -> Invocation:
        token = mint(SECRET, user=user, role=role, lives=timedelta(hours=1))
        options = ("--api-url", world.url, "--token", token)
        return await asyncio.to_thread(invoke, *options, *arguments, typed=typed)

    return run


@pytest.fixture(scope="session")
def stack_environment(stack: Up) -> dict[str, str]:
    """The environment of a user who has nothing at the shared stack but what these tests make."""
    secret = stack.home.jwt_secret_file.read_text().strip()
    token = mint(secret, user="ada", role="user", lives=timedelta(hours=1))
    return {"PERDURE_HOME": str(stack.home.path), "PERDURE_TOKEN": token}


@pytest.fixture(scope="session")
def at_stack(stack_environment: dict[str, str]) -> StackCommand:
    """Run a command at the shared stack."""

    def run(*arguments: str) -> Invocation:
        return invoke(*arguments, **stack_environment)

    return run
