"""Request heads without an end, slow heads, and too many connections, on raw sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from api.http.connections import STALLED_BYTES, Connections
from api.main import create_app
from tests.api.conftest import serve_app, settings_of
from tests.waiting import eventually

HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
SHORT_SECONDS = 0.3
AT_ONCE = 8

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
async def port(module_database_url: str, temporal_address: str) -> AsyncIterator[int]:
    """A gateway that takes few connections, and waits for a head longer than a test takes."""
    app = create_app(settings_of(module_database_url, temporal_address))
    async with serve_app(app, api_head_seconds=300, max_connections_per_address=AT_ONCE) as url:
        yield int(urlsplit(url).port or 0)


@pytest.fixture(scope="module")
async def impatient(module_database_url: str, temporal_address: str) -> AsyncIterator[int]:
    """A gateway that waits only a moment for a head."""
    app = create_app(settings_of(module_database_url, temporal_address))
    async with serve_app(app, api_head_seconds=SHORT_SECONDS) as url:
        yield int(urlsplit(url).port or 0)


async def connect(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port)


async def read_all(streams: Streams) -> bytes:
    """Everything until the gateway closes the connection."""
    async with asyncio.timeout(60):
        try:
            return await streams[0].read()
        except ConnectionError:
            return b""
        finally:
            streams[1].close()


async def send(port: int, data: bytes) -> bytes:
    streams = await connect(port)
    streams[1].write(data)
    return await read_all(streams)


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X-A: " + b"a" * 65_536 + b"\r\n\r\n",
        b"GET /health/live?" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(100)) + b"\r\n",
        HEAD + b"X" * 65_536 + b": a\r\n\r\n",
    ],
    ids=["a long header", "a long URL", "many headers", "a long name"],
)
async def test_a_large_head_is_refused(port: int, head: bytes) -> None:
    response = await send(port, head)
    assert response.startswith(b"HTTP/1.1 431 ")
    fields, _, body = response.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in fields
    assert json.loads(body)["code"] == "head_too_large"


@pytest.mark.parametrize("start", [HEAD + b"X-A: ", b"GET /", HEAD + b"X", b"POST /" + b"a"])
async def test_a_head_without_an_end_is_cut(port: int, start: bytes) -> None:
    reader, writer = await connect(port)
    writer.write(start)
    sent = 0
    async with asyncio.timeout(60):
        try:
            while not reader.at_eof():
                writer.write(b"a" * 50_000)
                await writer.drain()
                sent += 50_000
                await asyncio.sleep(0)
        except ConnectionError:
            pass
    assert sent < 20_000_000  # what the buffers of both kernels hold
    writer.close()


async def test_ordinary_heads_in_pieces_and_pipelined_pass(port: int) -> None:
    reader, writer = await connect(port)
    for piece in (HEAD[:10], HEAD[10:], b"Connection: keep-alive\r\n", b"\r\n"):
        writer.write(piece)
        await writer.drain()
    assert await reader.readuntil(b'{"status":"ok"}')
    writer.write((HEAD + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n") * 2)
    for _ in range(2):
        assert await reader.readuntil(b'{"status":"ok"}')
    writer.close()


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\r\n",
        b"GE",
        HEAD,
        HEAD + b"\r\n" + HEAD,
        b"POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{",
    ],
    ids=["nothing", "a line break", "a method", "a head", "the next head", "a body"],
)
async def test_who_sends_slowly_is_disconnected(impatient: int, start: bytes) -> None:
    """The last one is refused without credentials, before its body is complete."""
    reader, writer = await connect(impatient)

    async def trickle() -> None:
        while True:
            writer.write(b"\r\n" if start in {b"", b"\r\n"} else b"a")
            await asyncio.sleep(SHORT_SECONDS / 10)

    writer.write(start)
    sending = asyncio.create_task(trickle())
    response = await read_all((reader, writer))
    sending.cancel()
    assert response.count(b"HTTP/1.1") <= 1


async def test_a_client_that_stops_reading_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.connections.STALLED_SECONDS", SHORT_SECONDS)
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a" * STALLED_BYTES
            await asyncio.sleep(0)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(endless())(scope, receive, send)
        ended.set()

    async with serve_app(Starlette(routes=[Mount("/", respond)])) as url:
        streams = await connect(int(urlsplit(url).port or 0))
        streams[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await streams[0].readline() == b"HTTP/1.1 200 OK\r\n"
        async with asyncio.timeout(60):
            await ended.wait()
        await read_all(streams)


async def test_an_address_has_a_limited_number_of_connections(port: int) -> None:
    held = [await connect(port) for _ in range(AT_ONCE)]
    for _, writer in held:
        writer.write(HEAD)
    complete = HEAD + b"Connection: close\r\n\r\n"
    assert await send(port, complete) == b""
    for _, writer in held:
        writer.close()

    async def is_accepted() -> bool:
        return (await send(port, complete)).endswith(b'{"status":"ok"}')

    await eventually(is_accepted, what="the end of the other connections")


def test_proxies_and_networks_are_counted_as_what_they_are() -> None:
    limits = Connections(
        head_bytes=1, head_seconds=1, per_address=2, total=7, proxies=("10.0.0.0/8", "proxy")
    )
    assert [limits.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [limits.enter(f"2001:db8::{n}") for n in range(3)] == [True, True, False]
    assert [limits.enter("10.1.2.3") for _ in range(4)] == [True, True, True, False]
    limits.leave("192.0.2.1")
    limits.leave("2001:db8::ffff")
    assert limits.enter("2001:db8::7")
    assert limits.enter("192.0.2.1")
    assert not limits.enter("192.0.2.2")
