"""The proxy of one sandbox, in this process: what it is asked for, and what it refuses."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from domain.web.connections import Connection
from domain.web.network import NetworkList
from runtime.egress.proxy import MAX_LOOK_UPS, SandboxProxy
from runtime.network import NetworkGuard
from tests.runtime.receiver import Receiver, answer, certificate_for, receiving
from tests.tools.conftest import until


@dataclass
class Proxied:
    """A proxy for `site.example`, with a server behind that name and one at another port."""

    site: Receiver
    other: Receiver
    port: int
    records: list[Connection] = field(default_factory=list)
    answers: list[Sequence[str]] = field(default_factory=lambda: [["127.0.0.1"]])
    """Of the name server, one after the other; the last one repeats."""

    slow: asyncio.Event | None = None
    """The name server answers when it is set."""
    looking_up: int = 0
    most_look_ups: int = 0

    async def resolve(self, host: str, _: int) -> Sequence[str]:
        assert host.endswith("site.example")
        self.looking_up += 1
        self.most_look_ups = max(self.most_look_ups, self.looking_up)
        if self.slow is not None:
            await self.slow.wait()
        self.looking_up -= 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def ask(self, *parts: bytes) -> bytes:
        """Send bytes, and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        found = await reader.read()
        writer.close()
        return found

    def head(self, host: str = "site.example", method: str = "CONNECT") -> bytes:
        target = f"{host}:{self.site.port}"
        target = target if method == "CONNECT" else f"http://{target}/page?x=1"
        lines = [f"{method} {target} HTTP/1.1", "Host: evil.example", "Proxy-Connection: a", "X: y"]
        return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def proxying(tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxied]:
    listener = socket.create_server(("127.0.0.1", 0))
    async with receiving(answer(200, b"hello"), tls=tls) as site, receiving() as other:
        proxied = Proxied(site, other, listener.getsockname()[1])
        network = NetworkList.parse([f"*.site.example:{site.port}", f"site.example:{site.port}"])
        operator = NetworkList.parse([f"*:{site.port}", f"127.0.0.1:{site.port}"])
        guard = NetworkGuard(operator, resolve=proxied.resolve)
        proxy = SandboxProxy(listener, guard, network, on_connection=proxied.records.append)
        try:
            yield proxied
        finally:
            await proxy.close()


GET = b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n"


async def test_a_plain_request_is_rewritten_for_its_server() -> None:
    async with proxying() as proxied:
        assert b"hello" in await proxied.ask(proxied.head(method="GET"))
        [request] = proxied.site.received
        assert (request.method, request.path) == ("GET", "/page?x=1")
        assert request.headers == {
            "host": f"site.example:{proxied.site.port}",
            "connection": "close",
            "x": "y",
        }


async def test_a_head_may_arrive_in_single_bytes() -> None:
    async with proxying() as proxied:
        parts = [bytes([byte]) for byte in proxied.head() + GET]
        assert b"hello" in await proxied.ask(*parts)


@pytest.mark.parametrize(
    "host",
    [
        "other.example",
        "evilsite.example",
        "site.example.evil.example",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "site.example\x00.evil",
        "site.example%00",
        "user@site.example",
        "",
    ],
)
async def test_other_hosts_are_refused_in_every_spelling(host: str) -> None:
    async with proxying() as proxied:
        for method in ("CONNECT", "GET"):
            found = await proxied.ask(proxied.head(host, method), GET)
            assert found.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), found
        name = host.strip("[]").encode()
        size = bytes([len(name)])
        port = proxied.site.port.to_bytes(2)
        found = await proxied.ask(b"\5\1\0", b"\5\1\0\3" + size + name + port, GET)
        assert found[:4] == b"\5\0\5\2", found
        assert not proxied.site.received
        assert all(record.verdict == "refused" for record in proxied.records)


async def test_a_name_that_changes_its_address_is_pinned() -> None:
    async with proxying() as proxied:
        proxied.answers = [["10.0.0.1", "127.0.0.1"], ["169.254.169.254"]]
        assert b"hello" in await proxied.ask(proxied.head(), GET)
        assert b"403" in await proxied.ask(proxied.head(), GET)
        first, second = proxied.records
        assert (first.address, first.verdict) == ("127.0.0.1", "allowed")
        assert (second.address, second.verdict) == (None, "refused")
        assert "169.254.169.254" in (second.reason or "")


async def test_a_redirect_to_another_port_is_a_connection_of_its_own() -> None:
    async with proxying() as proxied:
        target = f"CONNECT site.example:{proxied.other.port} HTTP/1.1\r\n\r\n".encode()
        assert b"403" in await proxied.ask(target, GET)
        assert not proxied.other.received


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"CONNECT site.example HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:0 HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:99999 HTTP/1.1\r\n\r\n",
        b"GET https://site.example/ HTTP/1.1\r\n\r\n",
        b"GET ftp://site.example/ HTTP/1.1\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"GET http://site.example/ HTTP/1.1\r\nX: " + b"x" * 70_000,
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:" + b"4" * 5000 + b" HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:00004430000 HTTP/1.1\r\n\r\n",
    ],
)
async def test_requests_that_can_not_be_read_are_answered(request_: bytes) -> None:
    async with proxying() as proxied:
        assert (await proxied.ask(request_)).startswith(b"HTTP/1.1 400")
        assert not proxied.site.received


async def test_slow_look_ups_of_one_sandbox_leave_threads_for_others() -> None:
    async with proxying() as proxied:
        proxied.slow = asyncio.Event()
        asking = [asyncio.create_task(proxied.ask(proxied.head(), GET)) for _ in range(12)]
        await until(lambda: proxied.looking_up == MAX_LOOK_UPS)
        proxied.slow.set()
        assert all(b"hello" in answer for answer in await asyncio.gather(*asking))
        assert proxied.most_look_ups == MAX_LOOK_UPS


async def test_tls_for_another_name_or_none_sends_nothing(tmp_path: Path) -> None:
    server, trusting = certificate_for(["site.example", "a.site.example"], tmp_path)
    trusting.check_hostname = False
    async with proxying(server) as proxied:
        for name in ("a.site.example", None):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await _start_tls(proxied, trusting, name)
        await _start_tls(proxied, trusting, "site.example")
        verdicts = [(record.verdict, record.sent_bytes > 0) for record in proxied.records]
        assert verdicts[:2] == [("refused", False), ("refused", False)]


async def _start_tls(proxied: Proxied, trusting: ssl.SSLContext, name: str | None) -> None:
    """Open a tunnel to `site.example`, and start TLS in it for another name."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxied.port)
    writer.write(proxied.head())
    await reader.readuntil(b"\r\n\r\n")
    try:
        await writer.start_tls(trusting, server_hostname=name)
    finally:
        writer.close()
