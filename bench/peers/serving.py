"""How a peer's process talks with the driver: lines of JSON on stdin and stdout."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bench.flood import flood

_DRIVER = sys.stdout
"""What a library writes to a redirected `sys.stdout` must not mix with the lines."""


def announce_ready() -> None:
    """Report to the driver that work can start."""
    _say({"ready": True})


async def wait_until_stopped() -> None:
    """For workers, which get their work from a server: until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()


async def serve_floods(
    run: Callable[[str], Awaitable[object]], recover: Callable[[], Awaitable[None]] | None = None
) -> None:
    """For peers that start executions in their own process: floods as they are asked for.

    `recover` first continues what a process before this one did not finish.
    """
    announce_ready()
    if recover:
        await recover()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        seconds = await flood(run, asked["prompts"], in_flight=asked["in_flight"])
        _say({"seconds": seconds})


def _say(message: dict[str, Any]) -> None:
    _DRIVER.write(json.dumps(message) + "\n")
    _DRIVER.flush()
