"""What one hostile user does to a gateway, in a process of its own.

`python -m bench.attacks NAME URL TOKEN SECONDS` prints how often each thing happened, as JSON. It
connects from an address of its own, as a user on another machine does, and at a low priority: the
computing time of that other machine is not the gateway's.
"""

import asyncio
import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from bench.job import Job

ADDRESS = "127.0.0.2"
"""Where the attacks come from (Linux: all of 127.0.0.0/8 is loopback)."""

NICENESS = 10
CONNECT_SECONDS = 60.0
HEADER_CONNECTIONS = 4
HEADER_PIECE = b"a" * 500_000
SLOW_HEADS = 1_500
DEFINITIONS_AT_ONCE = 4
DEFINITION_CHARACTERS = 9_000_000
STORED_PROMPTS = 20
STREAMS = 1_500
STREAMS_AT_ONCE = 100
"""Streams that are being opened at a time."""
REFERENCES = 40
EVALUATIONS_AT_ONCE = 16
COMMANDS_AT_ONCE = 2
PROCESS_MB, FILE_MB = 1_500, 1_000


@dataclass(slots=True)
class Target:
    """The gateway under attack, and until when."""

    url: str
    token: str
    until: float
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def has_time(self) -> bool:
        """Whether time is left."""
        return time.monotonic() < self.until

    @property
    def seconds_left(self) -> float:
        """At least a moment, so that it can be a timeout."""
        return max(0.01, self.until - time.monotonic())

    def client(self) -> httpx2.AsyncClient:
        """A client of the hostile user."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=CONNECT_SECONDS,
            transport=httpx2.AsyncHTTPTransport(
                local_address=ADDRESS, limits=httpx2.Limits(max_connections=2 * STREAMS)
            ),
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection without a request."""
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port, local_addr=(ADDRESS, 0))

    async def repeat(self, count: int, attempt: Callable[[], Awaitable[str]]) -> None:
        """Attempt it in `count` loops until the time is over, and count what it returns."""

        async def request_until_stopped() -> None:
            while self.has_time:
                try:
                    async with asyncio.timeout(self.seconds_left):
                        self.seen[await attempt()] += 1
                except (OSError, TimeoutError, httpx2.TransportError) as error:
                    self.seen[type(error).__name__] += 1
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(request_until_stopped() for _ in range(count)))


async def endless_header(target: Target) -> None:
    """Send one header without an end, without credentials, and again when the gateway closes."""

    async def attempt() -> str:
        _, writer = await target.connect()
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ")
            while target.has_time:
                writer.write(HEADER_PIECE)
                await writer.drain()
                target.seen["MB sent"] += 1
        finally:
            writer.close()
        return "ended"

    await target.repeat(HEADER_CONNECTIONS, attempt)


async def slow_heads(target: Target) -> None:
    """Hold half requests, and open another one when one is closed."""

    async def attempt() -> str:
        reader, writer = await target.connect()
        try:
            writer.write(b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n")
            await reader.read()
        finally:
            writer.close()
        return "closed"

    await target.repeat(SLOW_HEADS, attempt)


async def large_definitions(target: Target) -> None:
    """Send definitions of 9 MB: ones that are refused, ones that are stored, and read the list."""
    objects = b'{"name": "a", "prompt_template": "b", "default_variables": {"a": [%s]}}' % (
        b",".join([b"{}"] * (DEFINITION_CHARACTERS // 3))
    )
    bodies: list[Callable[[], bytes]] = [
        lambda: objects,
        lambda: _task("{{ a }} " * (DEFINITION_CHARACTERS // 8)),
        lambda: _task("words " * (DEFINITION_CHARACTERS // 6)),
    ]
    stored = Counter[str]()
    async with target.client() as client:

        async def attempt() -> str:
            number = sum(target.seen.values())
            if number % 4 == 3:
                answer = await client.get("/api/v1/tasks?page_size=100")
                return f"list {answer.status_code}"
            body = objects if stored["201"] >= STORED_PROMPTS else bodies[number % 4]()
            answer = await client.post("/api/v1/tasks", content=body)
            stored[str(answer.status_code)] += 1
            return f"definition {answer.status_code}"

        await target.repeat(DEFINITIONS_AT_ONCE, attempt)


def _task(prompt: str) -> bytes:
    body = {"name": secrets.token_hex(8), "prompt_template": prompt}
    return json.dumps({**body, "allowed_tools": [], "sdk_options": {}}).encode()


async def many_streams(target: Target) -> None:
    """Open streams of an execution that waits, and hold them."""
    opening = asyncio.Semaphore(STREAMS_AT_ONCE)
    async with target.client() as client:
        asks = Job(tool_turns=1, asks=True)
        body = {"prompt": asks.prompt(secrets.token_hex(8)), "allowed_tools": [asks.tool]}
        started = await client.post("/api/v1/task-executions", json=body)
        path = started.raise_for_status().json()["_links"]["events"]

        async def attempt() -> str:
            async with opening:
                response = await client.send(
                    client.build_request("GET", path, headers={"Accept": "text/event-stream"}),
                    stream=True,
                )
                target.seen[f"stream {response.status_code}"] += 1
            if response.is_success:
                async for _ in response.aiter_raw():
                    pass
                return "stream ended"
            await response.aclose()
            await asyncio.sleep(1)
            return "stream refused"

        await target.repeat(STREAMS, attempt)


async def bad_schemas(target: Target) -> None:
    """Evaluate patterns and references that take years without limits, here and in the worker."""
    multiplying: dict[str, Any] = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(REFERENCES)
    }
    multiplying[f"a{REFERENCES}"] = {"type": ["string", "object"]}
    schemas: list[dict[str, Any]] = [
        {"properties": {"a": {"pattern": "^(a+)+$"}}},
        {"$defs": multiplying, "$ref": "#/$defs/a0"},
    ]
    value = {"a": "a" * 40 + "!"}
    async with target.client() as client:
        runs = []
        for schema in schemas:
            task = {
                "name": secrets.token_hex(8),
                "prompt_template": "x",
                "variables_schema": schema,
            }
            nothing: dict[str, Any] = {"allowed_tools": [], "sdk_options": {}}
            made = await client.post("/api/v1/tasks", json={**task, **nothing})
            runs.append(f"{made.raise_for_status().json()['_links']['self']}/dry-run")

        async def attempt() -> str:
            number = sum(target.seen.values())
            if number % 8 == 0:
                options = {"output_schema": schemas[number // 8 % 2]}
                prompt = f"{secrets.token_hex(8)}\n\n```script\n- text: '{json.dumps(value)}'\n```"
                body = {"prompt": prompt, "allowed_tools": [], "sdk_options": options}
                answer = await client.post("/api/v1/task-executions", json=body)
                return f"execution {answer.status_code}"
            answer = await client.post(runs[number % 2], json={"variables": value})
            return f"dry run {answer.status_code}"

        await target.repeat(EVALUATIONS_AT_ONCE, attempt)


async def memory_bombs(target: Target) -> None:
    """Run commands whose processes each take as much memory as one may."""
    forks = "[os.fork() for _ in range(3)]"
    code = f"import os, time; {forks}; taken = b'x' * ({PROCESS_MB} << 20); time.sleep(60)"
    await _commands(target, f'python3 -c "{code}"')


async def disk_bombs(target: Target) -> None:
    """Run commands that write several files of the largest size at once."""
    await _commands(
        target, f"for n in 1 2 3 4 5 6; do head -c {FILE_MB}M /dev/zero >f$n & done; wait"
    )


async def _commands(target: Target, command: str) -> None:
    async with target.client() as client:

        async def attempt() -> str:
            job = Job(tool_turns=1, runs=command)
            body = {"prompt": job.prompt(secrets.token_hex(8)), "allowed_tools": [job.tool]}
            started = await client.post("/api/v1/task-executions?wait=60", json=body)
            return f"execution {started.json().get('status', started.status_code)}"

        await target.repeat(COMMANDS_AT_ONCE, attempt)


ATTACKS: Mapping[str, Callable[[Target], Awaitable[None]]] = {
    "endless header": endless_header,
    "slow heads": slow_heads,
    "9 MB definitions": large_definitions,
    "1,500 streams": many_streams,
    "bad schemas": bad_schemas,
    "memory bombs": memory_bombs,
    "disk bombs": disk_bombs,
}


async def attack(name: str, url: str, token: str, seconds: float) -> dict[str, int]:
    """Attack for that long; how often each thing happened."""
    target = Target(url, token, time.monotonic() + seconds)
    with suppress(TimeoutError):
        async with asyncio.timeout(2 * seconds):
            await ATTACKS[name](target)
    return dict(target.seen)


if __name__ == "__main__":
    os.nice(NICENESS)
    which, address, credentials, duration = sys.argv[1:]
    print(json.dumps(asyncio.run(attack(which, address, credentials, float(duration)))), flush=True)
    os._exit(0)  # hundreds of connections are open
