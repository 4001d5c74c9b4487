"""How a peer's process talks with the driver: lines of JSON on stdin and stdout."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bench.flood import flood


def announce_ready() -> None:
    """Report to the driver that work can start."""
    _say({"ready": True})


async def until_stopped() -> None:
    """For workers, which get their work from a server: until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()


async def serve_floods(run: Callable[[str], Awaitable[object]]) -> None:
    """For peers that start executions in their own process: floods as they are asked for."""
    announce_ready()
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        seconds = await flood(run, asked["prompts"], in_flight=asked["in_flight"])
        _say({"seconds": seconds})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
