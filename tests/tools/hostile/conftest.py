"""Calls with the network of the table, and the traps around the allowed host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.web.network import NetworkList
from runtime.egress import client
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
async def calls(
    traps: Traps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SessionCalls]:
    """Calls with the network of the table, on a server that allows every name."""
    monkeypatch.setattr(client, "_MODULE", "tests.tools.hostile.proxy_process")
    ports = (traps.allowed_port, traps.own_port)
    operator = NetworkList.parse(f"{h}:{port}" for h in ("*", ALLOWED_ADDRESS) for port in ports)
    own = [OwnEndpoint(ALLOWED_ADDRESS, traps.own_port)]
    guard = NetworkGuard(operator, own, resolve=traps.resolve)

    async def open_secret(*_: object) -> str:
        return "value"

    proxy = client.EgressProxy(operator, own)
    toolbox = Toolbox(
        tmp_path / "workspaces",
        host_id=HOST,
        web=WebAccess(WebConnections(guard).connect, open_secret),
        network=proxy,
    )
    yield SessionCalls(toolbox, network=NetworkList.parse(map(traps.fill, table.ALLOWED)))
    await proxy.close()
