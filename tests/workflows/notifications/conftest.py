"""A driver for executions with notifications, with and without a worker."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from claude.scripted import ScriptedModelServer
from cli.stack.addresses import free_port
from tests.engine.driver import Engine
from tests.engine.running import WorkerPlace, make_place, open_driver, run_worker
from tests.workflows.notifications.deliveries import SETTINGS, SIGNING_KEY, Mailbox, keep


@pytest.fixture(scope="module")
async def place(
    module_database_url: str, temporal_address: str, servers_directory: Any
) -> WorkerPlace:
    home = servers_directory / f"notifying-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    return await make_place(module_database_url, temporal_address, home)


@pytest.fixture(scope="module")
async def idle(place: WorkerPlace, scripted_model: ScriptedModelServer) -> AsyncIterator[Engine]:
    """A driver, with a signing key and an address kept as secrets, and no worker."""
    async with open_driver(place, scripted_model) as engine:
        await keep(engine, "signing", SIGNING_KEY)
        yield engine


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), ready_timeout=60)
    controller.start()
    box.port = controller.port
    yield box
    controller.stop()


@pytest.fixture
async def engine(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer, mailbox: Mailbox
) -> AsyncIterator[Engine]:
    mail = {"smtp_url": f"smtp://127.0.0.1:{mailbox.port}", "smtp_from": "Perdure <p@example.com>"}
    async with run_worker(place, scripted_model, **SETTINGS, **mail):
        yield idle
