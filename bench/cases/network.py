"""The proxy of sandboxes: throughput, memory, and what it adds to a small request."""

import asyncio
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.children import temporary_directory
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.scale import Scale, say
from domain.ids import new_id
from domain.tools.calls import ProcessIdentity, ToolInvocation
from domain.web.network import PROXY_HOST, NetworkList
from runtime.egress.client import EgressProxy
from tools.toolbox import Toolbox

GIB = 1024**3
REQUESTS = 200
BYTES_PER_SECOND = 200e6
ADDED_MS = 5.0
GROWN_BYTES = 32 * 1024**2
"""Four buffers in each direction: what a proxy that keeps what it copies would exceed at once."""

POLL_SECONDS = 0.05
"""Between looks at the memory: a gibibyte takes seconds."""

# The loop of curl runs in one process, so that starts of programs are not measured.
_MANY = "curl -sS -o /dev/null -w '%{{time_total}}\\n' '{url}/small?[1-{requests}]'"
_LARGE = "curl -sS -o /dev/null -w '%{{speed_download}}\\n' {url}/large"


@dataclass(slots=True)
class Figures:
    """What one round measured: bytes per second, the growth of memory, and milliseconds."""

    throughput: float
    grown_bytes: int
    direct_ms: float
    through_ms: float


async def measure(scale: Scale) -> Section:
    """A gibibyte and many small requests, by curl in the sandbox and beside it."""
    with temporary_directory() as place, _serving() as port:
        place.chmod(0o711)  # the user of the commands must be able to enter
        rounds = []
        for number in range(scale.rounds):
            say(f"network: round {number + 1}")
            rounds.append(await _measure_round(place / str(number), port))
    speed = Spread.of(r.throughput / 1e6 for r in rounds)
    added = Spread.of(r.through_ms - r.direct_ms for r in rounds)
    grown = Spread.of(r.grown_bytes / 1024**2 for r in rounds)
    table = Table(
        "curl and a server on loopback",
        ["", "median (range)"],
        [
            ["1 GiB through the proxy, MB/s", str(speed)],
            ["growth of the proxy's memory meanwhile, MiB", str(grown)],
            ["a small request beside the sandbox, ms", _spread(r.direct_ms for r in rounds)],
            ["a small request through the proxy, ms", _spread(r.through_ms for r in rounds)],
            ["added by the proxy, ms", str(added)],
        ],
    )
    return Section(
        "Network of tools",
        f"Each of {scale.rounds} rounds: {REQUESTS} small requests, then 1 GiB, by one curl.",
        [table],
        [
            Bar("MB/s through the proxy", speed.median, BYTES_PER_SECOND / 1e6, "at least"),
            Bar("MiB that the proxy grows by", grown.high, GROWN_BYTES / 1024**2),
            Bar("ms added to a small request", added.median, ADDED_MS),
        ],
    )


def _spread(values: Iterator[float]) -> str:
    return format_figure(statistics.median(values))


async def _measure_round(place: Path, port: int) -> Figures:
    network = NetworkList.parse([f"{PROXY_HOST}:{port}"])
    proxy = EgressProxy(network, ())
    try:
        toolbox = Toolbox(place, host_id="bench", network=proxy)
        url = f"http://{PROXY_HOST}:{port}"
        many = _MANY.format(url=url, requests=REQUESTS)
        direct = _numbers(await _run_beside(many))
        through = _numbers(await _run(toolbox, network, many))
        watch = asyncio.create_task(_watch_memory())
        speed = _numbers(await _run(toolbox, network, _LARGE.format(url=url)))[0]
        watch.cancel()
        [grown] = await asyncio.gather(watch)
    finally:
        await proxy.close()
        shutil.rmtree(place, ignore_errors=True)
    return Figures(
        speed, grown, statistics.median(direct) * 1000, statistics.median(through) * 1000
    )


async def _run(toolbox: Toolbox, network: NetworkList, command: str) -> str:
    async def on_started(_: ProcessIdentity | None) -> None:
        """Record nothing."""

    invocation = ToolInvocation(
        new_id(),
        new_id(),
        "toolu_1",
        "bash",
        {"command": command},
        user_id=new_id(),
        network=network,
    )
    outcome = await toolbox.run(invocation, on_started=on_started)
    if outcome.is_error:
        raise RuntimeError(outcome.text)
    return outcome.text


async def _run_beside(command: str) -> str:
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output.decode()


def _numbers(text: str) -> list[float]:
    return [float(line) for line in text.splitlines() if re.fullmatch(r"[0-9.]+", line)]


async def _watch_memory() -> int:
    """How much the proxy's memory grows until this is cancelled."""
    proxies = [
        child
        for child in psutil.Process().children()
        if "runtime.egress.process" in child.cmdline()
    ]
    before = max(proxy.memory_info().rss for proxy in proxies)
    most = before
    try:
        while True:
            most = max(most, *(proxy.memory_info().rss for proxy in proxies))
            await asyncio.sleep(POLL_SECONDS)
    except asyncio.CancelledError:
        return most - before


@contextmanager
def _serving() -> Iterator[int]:
    """Serve `/small` and `/large` on loopback, in a process of its own."""
    command = [sys.executable, "-m", "bench.network_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
