"""A gateway beside a worker, shared by all tests of a module."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude.scripted import ScriptedModelServer
from tests.api.world import World
from tests.engine.running import Place, driving, make_place
from tests.workflows.stage import Stage, staged


@pytest.fixture(scope="module")
async def stage_place(
    module_database_url: str, temporal_address: str, servers_directory: Path
) -> Place:
    home = servers_directory / f"stage-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(module_database_url, temporal_address, home)


@pytest.fixture(scope="module")
async def stage_world(
    stage_place: Place, scripted_model: ScriptedModelServer
) -> AsyncIterator[World]:
    async with staged(stage_place, scripted_model) as world:
        yield world


@pytest.fixture(scope="module")
async def stage(
    stage_place: Place, stage_world: World, scripted_model: ScriptedModelServer
) -> AsyncIterator[Stage]:
    """The driver and the client belong to the same user, alice."""
    async with (
        driving(stage_place, scripted_model) as engine,
        stage_world.client("alice") as client,
    ):
        yield Stage(engine, client)


@pytest.fixture
async def other(stage: Stage, stage_world: World) -> AsyncIterator[Stage]:
    """The same with a client of another user."""
    async with stage_world.client("bob") as client:
        yield Stage(stage.engine, client)
