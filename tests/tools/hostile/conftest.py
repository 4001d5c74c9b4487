"""Calls with the network of the table, and the traps around the allowed host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.network import NetworkList
from runtime.network import NetworkGuard, OwnEndpoint
from runtime.web import WebConnections
from tests.tools.conftest import HOST, SessionCalls
from tests.tools.hostile import table
from tests.tools.hostile.traps import ALLOWED_ADDRESS, Traps, setting_traps
from tools.toolbox import Toolbox
from tools.web.access import WebAccess


@pytest.fixture
async def traps() -> AsyncIterator[Traps]:
    async with setting_traps() as traps:
        yield traps


@pytest.fixture
def calls(traps: Traps, tmp_path: Path) -> SessionCalls:
    """Calls with the network of the table, on a server that allows every name."""
    ports = (traps.allowed_port, traps.own_port)
    operator = [f"{host}:{port}" for host in ("*", ALLOWED_ADDRESS) for port in ports]
    guard = NetworkGuard(
        NetworkList.parse(operator),
        [OwnEndpoint(ALLOWED_ADDRESS, traps.own_port)],
        resolve=traps.resolve,
    )

    async def open_secret(*_: object) -> str:
        return "value"

    access = WebAccess(WebConnections(guard).connect, open_secret)
    toolbox = Toolbox(tmp_path / "workspaces", host_id=HOST, web=access)
    network = NetworkList.parse(map(traps.fill, table.ALLOWED))
    return SessionCalls(toolbox, network=network)
