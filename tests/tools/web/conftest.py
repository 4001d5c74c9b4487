"""The web tools against a real server on loopback, through the guarded client of a worker."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.errors import OutboundError, SecretUnusableError
from domain.secrets import may_reach, name_in
from domain.web.network import NetworkList
from runtime.network import NetworkGuard
from runtime.web import WebConnections
from tests.runtime.receiver import Receiver, receiving
from tests.tools.conftest import HOST, SessionCalls
from tools.limits import ToolLimits
from tools.toolbox import Toolbox
from tools.web.access import WebAccess

SECRET = "canary-4711/+value"
HERE = "127.0.0.1"
NAMES = dict.fromkeys(("site.example", "api.example", "other.example"), (HERE,))


@dataclass
class Web:
    """A site that listens on `receiver`, under several names, and calls to it.

    `secrets` has the hosts and tools of each secret, whose value is SECRET.
    """

    receiver: Receiver
    root: Path
    names: dict[str, Sequence[str]] = field(default_factory=lambda: dict(NAMES))
    secrets: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    limits: ToolLimits = field(default_factory=ToolLimits)

    def calls(self, *allowed: str, operator: Sequence[str] = ()) -> SessionCalls:
        """Calls that may connect to the named hosts, on the port of the receiver."""
        port = self.receiver.port
        own = operator or (f"*:{port}", f"{HERE}:{port}")
        guard = NetworkGuard(NetworkList.parse(own), resolve=self._resolve)
        access = WebAccess(WebConnections(guard).connect, self._open_secret)
        toolbox = Toolbox(self.root, host_id=HOST, limits=self.limits, web=access)
        hosts = allowed or ("site.example", "api.example")
        network = NetworkList.parse(host if ":" in host else f"{host}:{port}" for host in hosts)
        return SessionCalls(toolbox, network=network)

    def url(self, host: str = "site.example", path: str = "/") -> str:
        return f"http://{host}:{self.receiver.port}{path}"

    async def _resolve(self, host: str, _: int) -> Sequence[str]:
        if host not in self.names:
            raise OutboundError(f"The host name {host} can't be resolved.")
        return self.names[host]

    async def _open_secret(self, _: UUID, reference: str, host: str, tool: str) -> str:
        hosts, tools = self.secrets[name_in(reference) or ""]
        if not may_reach(hosts, host) or tool not in tools:
            raise SecretUnusableError(f"The secret may not be sent to {host}.")
        return SECRET


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with receiving() as receiver:
        yield Web(receiver, tmp_path / "workspaces")


def html(body: str, **headers: Any) -> dict[str, Any]:
    """The arguments of a reply with a page."""
    return {"status": 200, "body": body.encode(), "Content_Type": "text/html", **headers}
