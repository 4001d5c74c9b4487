"""A client that asks for one address as fast as it is answered, in a process of its own.

`python -m bench.load URL CONNECTIONS SECONDS [HEADER ...]` prints requests a second and latencies.
Connections take turns with the headers, so that each can belong to another user.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop


class Asking(asyncio.Protocol):
    """One connection: the next request follows the answer to the one before."""

    def __init__(self, request: bytes, until: float) -> None:
        self._request = request
        self._until = until
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._asked_at = 0.0
        self.latencies: list[float] = []
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Note the answer, and ask again."""
        now = time.perf_counter()
        status = self._parser.get_status_code()
        if status != 200:
            self.ended.set_exception(RuntimeError(f"the answer was {status}"))
            return
        self.latencies.append(now - self._asked_at)
        if now < self._until:
            self._parser = httptools.HttpResponseParser(self)
            self._ask()
        elif not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless all is done."""
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server hung up"))

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)


async def load(
    url: str, connections: int, seconds: float, headers: Sequence[str]
) -> dict[str, float]:
    """Requests per second, and the median and 99th percentile of latencies in ms."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc}"]
    requests = cycle(
        "\r\n".join([*lines, *([header] if header else []), "", ""]).encode()
        for header in headers or [""]
    )
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    asking: list[Asking] = [
        (
            await loop.create_connection(
                partial(Asking, next(requests), began + seconds), *_peer(url)
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(one.ended for one in asking))
    took = time.perf_counter() - began
    latencies = sorted(latency for one in asking for latency in one.latencies)
    return {
        "per_second": len(latencies) / took,
        "median_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
    }


def _peer(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


if __name__ == "__main__":
    address, number, duration, *more = sys.argv[1:]
    print(json.dumps(uvloop.run(load(address, int(number), float(duration), more))))
