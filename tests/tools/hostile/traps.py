"""The allowed host, and traps that count connections."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote

ALLOWED_ADDRESS = "127.0.0.9"
LOCAL = ("127.0.0.1", "::1")


@dataclass
class Traps:
    """`caught` names the places at which a connection or a datagram arrived.

    `requests` has the heads of requests that arrived at the allowed host.
    """

    allowed_port: int = 0
    trap_port: int = 0
    own_port: int = 0
    caught: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    _rebound: int = 0

    def fill(self, text: str) -> str:
        """Put the ports into a text of the table."""
        values = {
            "P": str(self.allowed_port),
            "T": str(self.trap_port),
            "O": str(self.own_port),
            "PX": f"{self.allowed_port:04x}",
            "N": f"perdure-{self.trap_port}",
        }
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    async def resolve(self, host: str, _: int) -> Sequence[str]:
        """The name server. `rebind.example` is at the allowed address only the first time."""
        if host == "rebind.example":
            self._rebound += 1
            return (ALLOWED_ADDRESS if self._rebound == 1 else "127.0.0.1",)
        is_known = host in {"allowed.example", "own.example"} or host.endswith(".wild.example")
        return (ALLOWED_ADDRESS if is_known else "127.0.0.1",)

    async def serve_allowed(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Redirect to what the query names, or send a page."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            target = head.split(b" ")[1].decode()
            _, _, to = target.partition("?to=")
            if to:
                location = unquote(to).encode("utf-8", "replace").replace(b"\r\n", b"%0D%0A")
                writer.write(b"HTTP/1.1 302 Found\r\nLocation: " + location)
                writer.write(b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
                writer.write(b"Content-Length: 8\r\nConnection: close\r\n\r\nwelcome!")
            await writer.drain()
        except asyncio.IncompleteReadError as error:
            self.requests.append(error.partial)
        except (asyncio.LimitOverrunError, ConnectionError):
            self.requests.append(b"")
        finally:
            writer.close()


@dataclass
class _Trap(asyncio.Protocol):
    """Counts connections."""

    caught: list[str]
    place: str

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.caught.append(self.place)
        transport.close()


@dataclass
class _DatagramTrap(asyncio.DatagramProtocol):
    """Counts datagrams."""

    caught: list[str]

    def datagram_received(self, data: bytes, addr: object) -> None:
        del data
        self.caught.append(f"datagram from {addr}")


def _free_port(addresses: Sequence[str]) -> int:
    """A port that is free at all of these addresses."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
        try:
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with socket.socket(family) as probe:
                    probe.bind((address, port))
        except OSError:
            continue
        return port


@asynccontextmanager
async def setting_traps() -> AsyncIterator[Traps]:
    """Run the allowed host and the traps while the block runs."""
    loop, traps = asyncio.get_running_loop(), Traps()
    everywhere = (*LOCAL, ALLOWED_ADDRESS)
    traps.allowed_port = _free_port(everywhere)
    traps.trap_port = _free_port(everywhere)
    traps.own_port = _free_port(everywhere)
    places = [(a, p) for a in LOCAL for p in (traps.allowed_port, traps.trap_port)]
    places += [(ALLOWED_ADDRESS, traps.trap_port), (ALLOWED_ADDRESS, traps.own_port)]
    async with AsyncExitStack() as stack:
        site = await asyncio.start_server(traps.serve_allowed, ALLOWED_ADDRESS, traps.allowed_port)
        await stack.enter_async_context(site)
        for address, port in places:
            place = f"{address} port {port}"
            server = await loop.create_server(partial(_Trap, traps.caught, place), address, port)
            await stack.enter_async_context(server)
        transport, _ = await loop.create_datagram_endpoint(
            partial(_DatagramTrap, traps.caught), local_addr=("127.0.0.1", traps.trap_port)
        )
        stack.callback(transport.close)
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0perdure-{traps.trap_port}")
        server = await loop.create_unix_server(
            partial(_Trap, traps.caught, "abstract socket"), sock=abstract
        )
        await stack.enter_async_context(server)
        yield traps
