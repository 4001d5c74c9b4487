"""Sandboxed commands with network: the real proxy process, and real servers on loopback."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from domain.web.network import NetworkList
from runtime.egress.client import EgressProxy
from runtime.network import OwnEndpoint
from tests.tools.conftest import HOST, SessionCalls
from tools.toolbox import Toolbox

Connect = Callable[..., SessionCalls]


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """Make calls that may connect to these hosts; the operator allows all of them."""
    proxies: list[EgressProxy] = []

    def make(*allowed: str, own: tuple[OwnEndpoint, ...] = ()) -> SessionCalls:
        network = NetworkList.parse(allowed)
        proxies.append(proxy := EgressProxy(network, own))
        toolbox = Toolbox(tmp_path / "workspaces", host_id=HOST, network=proxy)
        return SessionCalls(toolbox, network=network)

    yield make
    for proxy in proxies:
        await proxy.close()
