"""Viewers of one execution: event streams over HTTP, as a browser opens them."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

import httpx2

OPEN_SECONDS = 60.0


@dataclass(slots=True)
class Viewer:
    """What one viewer has received: the numbers of the events, and when each was made and arrived.

    Times are seconds since the epoch.
    """

    seqs: list[int] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, http: httpx2.AsyncClient, path: str, *, most: int | None = None) -> bool:
        """Receive events to the end, or `most` of them; returns whether the stream has ended.

        It continues after the last event that arrived.
        """
        headers = {"Accept": "text/event-stream"}
        if self.seqs:
            headers["Last-Event-ID"] = str(self.seqs[-1])
        count = 0
        async with http.stream("GET", path, headers=headers) as response:
            response.raise_for_status()
            if response.status_code == httpx2.codes.NO_CONTENT:
                return True
            async with aclosing(self._read(response)) as events:
                async for _ in events:
                    count += 1
                    if count == most:
                        return False
        return True

    def late_ms(self, since: float) -> list[float]:
        """How late each event was that was made since then."""
        return [1000 * (arrived - at) for at, arrived in self.times if at >= since]

    async def _read(self, response: httpx2.Response) -> AsyncGenerator[int, None]:
        """The numbers of the events; streamed text has none."""
        async for line in response.aiter_lines():
            self.is_open.set()
            if not line.startswith("data:"):
                continue
            event = json.loads(line.removeprefix("data:"))
            if "seq" in event:
                at = datetime.fromisoformat(event["at"]).timestamp()
                self.seqs.append(event["seq"])
                self.times.append((at, time.time()))
                yield event["seq"]


async def reconnect_often(http: httpx2.AsyncClient, path: str, times: int) -> Viewer:
    """Follow an execution, and drop the connection after each of the first events."""
    viewer = Viewer()
    for _ in range(times):
        if await viewer.follow(http, path, most=1):
            break
    while not await viewer.follow(http, path):
        pass
    return viewer
