"""Several gateways and workers with a network to the servers: do the costs only add up?

`docs/scaling.md` multiplies the cost of one execution. This checks its assumptions: further
gateways and worker hosts cost nothing more per execution, and the latency of the network
costs time for each execution but no throughput.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import httpx2
import psutil
from sqlalchemy import make_url

from bench.cases.lists import database_server
from bench.children import READY_SECONDS, Child, ChildError, scripted_model, temporary_directory
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.flood import flood
from bench.job import Job, fresh_nonces
from bench.processes import CpuMeter
from bench.scale import Scale, say
from bench.waiting import eventually
from bench.world import model_environment
from cli.stack import parts, temporal
from cli.stack.addresses import free_port
from cli.stack.process import RunningPart
from cli.stack.temporal import Temporal
from cli.tokens import mint

SECRET = "a secret of the bench that is long enough"  # noqa: S105 - of throw-away gateways
KEY = "a key for secrets of the bench that is long enough"
IN_FLIGHT = 100
WAIT_SECONDS = 60


class Shape(NamedTuple):
    """How many gateways and workers, and the delay of the network in each direction."""

    gateways: int
    workers: int
    delay_ms: float = 0.0


ONE, TWO, FAR = Shape(1, 1), Shape(2, 2), Shape(2, 2, 5.0)
SHAPES = (ONE, Shape(2, 1), Shape(1, 2), TWO, Shape(2, 2, 1.0), FAR, Shape(3, 3))
"""More of one kind and of both; a delay of 1 ms is that of a zone of a cloud, one of 5 ms that of
two regions that are near."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Postgres, Temporal and the model, shared by all hosts."""

    database_url: str
    temporal_port: int
    model_url: str
    pids: dict[str, int]
    directory: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Running gateways and workers."""

    shape: Shape
    urls: Sequence[str]
    pids: dict[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """What executions took and cost in one layout."""

    shape: Shape
    per_second: float
    alone_ms: Spread
    cpu_ms: dict[str, float]

    @property
    def total_cpu_ms(self) -> float:
        """Of all processes but the client and the model."""
        return sum(ms for role, ms in self.cpu_ms.items() if role not in {"client", "model"})


async def measure(scale: Scale) -> Section:
    """One gateway and one worker, then more of each, and growing delays."""
    found: dict[Shape, Measured] = {}
    async with _servers() as servers:
        for shape in SHAPES:
            found[shape] = await _measure_layout(servers, scale, shape)
            say(f"{shape}: {format_figure(found[shape].per_second)}/s")
    one, two, far = found[ONE], found[TWO], found[FAR]
    most = max(measured.total_cpu_ms for measured in found.values())
    cores = psutil.cpu_count() or 1
    return Section(
        "Several hosts",
        "Processes on one machine stand for hosts; a proxy delays what they exchange with Postgres "
        f"and Temporal. {IN_FLIGHT} executions in flight. The prediction is that of "
        "docs/scaling.md: cores over CPU per execution.",
        [
            Table(
                "By layout",
                ("gateways, workers", "delay ms", "executions/s", "predicted", "alone ms",
                 "CPU ms", "gateway", "worker", "postgres", "temporal"),
                [_row(one_layout, cores) for one_layout in found.values()],
            )
        ],
        [
            Bar("CPU per execution in the worst layout over one of each", most / one.total_cpu_ms,
                1.25),
            Bar("throughput with two of each over one", two.per_second / one.per_second, 0.8,
                side="at least"),
            Bar(f"throughput at {FAR.delay_ms:.0f} ms over that without delay",
                far.per_second / two.per_second, 0.75, side="at least"),
        ],
    )  # fmt: skip


def _row(found: Measured, cores: int) -> tuple[str, ...]:
    busy = found.total_cpu_ms + found.cpu_ms["client"] + found.cpu_ms["model"]
    return (
        f"{found.shape.gateways}, {found.shape.workers}",
        format_figure(found.shape.delay_ms),
        format_figure(found.per_second),
        format_figure(cores * 1000 / busy),
        str(found.alone_ms),
        format_figure(found.total_cpu_ms),
        *(
            format_figure(found.cpu_ms[role])
            for role in ("gateway", "worker", "postgres", "temporal")
        ),
    )


@asynccontextmanager
async def _servers() -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        url = await stack.enter_async_context(database_server())
        server = Temporal(
            database=directory / "temporal.db",
            port=free_port(),
            ui_port=free_port(),
            http_port=free_port(),
        )
        part = temporal.part(server, directory / "temporal.log", caches_attributes=True)
        running = await RunningPart.start(part)
        stack.push_async_callback(running.stop)
        model, model_url = await stack.enter_async_context(scripted_model(directory))
        pids = {"model": model.pid, "temporal": running.pid, "postgres": _server_pid(url)}
        yield Servers(url, server.port, model_url, pids, directory)


def _server_pid(url: str) -> int:
    """The process that listens on the port of the database."""
    port = make_url(url).port
    for connection in psutil.net_connections("tcp"):
        address = connection.laddr
        if connection.status == "LISTEN" and address and address.port == port and connection.pid:
            return connection.pid
    raise ChildError(f"no process listens on {port}")


async def _measure_layout(servers: Servers, scale: Scale, shape: Shape) -> Measured:
    async with AsyncExitStack() as stack:
        database_url = make_url(servers.database_url)
        assert database_url.port is not None
        database_port, temporal_port = [
            await stack.enter_async_context(_delay_proxy(servers, port, shape.delay_ms))
            for port in (database_url.port, servers.temporal_port)
        ]
        environment = {
            **model_environment(servers.model_url),
            **parts.FEW_THREADS,
            "PERDURE_DATABASE_URL": database_url.set(port=database_port).render_as_string(
                hide_password=False
            ),
            "PERDURE_TEMPORAL_ADDRESS": f"127.0.0.1:{temporal_port}",
            "PERDURE_JWT_SECRET": SECRET,
            "PERDURE_SECRETS_KEY": KEY,
            "PERDURE_RATE_LIMIT": "",
            "PERDURE_LOG_LEVEL": "error",
        }
        workers = [
            await stack.enter_async_context(_worker(servers, environment, number))
            for number in range(shape.workers)
        ]
        gateways = [
            await stack.enter_async_context(_gateway(servers, environment, number))
            for number in range(shape.gateways)
        ]
        pids = {f"worker {n}": child.pid for n, child in enumerate(workers)}
        pids |= {f"gateway {n}": child.pid for n, (child, _) in enumerate(gateways)}
        layout = Layout(shape, [url for _, url in gateways], {**servers.pids, **pids})
        return await _run(layout, scale)


async def _run(layout: Layout, scale: Scale) -> Measured:
    token = mint(SECRET, user="bench", role="user", lives=timedelta(hours=1))
    headers = {"Authorization": f"Bearer {token}"}
    nonces = fresh_nonces(scale.flood)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx2.AsyncClient(base_url=url, headers=headers, timeout=2 * WAIT_SECONDS)
            )
            for url in layout.urls
        ]
        turns = cycle(clients)
        name = f"scaling {layout.shape}"
        job = Job()
        body = {"name": name, "prompt_template": job.prompt("{{ nonce }}"),
                "allowed_tools": [job.tool]}  # fmt: skip
        task = (await clients[0].post("/api/v1/tasks", json=body)).raise_for_status().json()

        async def execute(nonce: str) -> None:
            path = f"{task['_links']['execute']}?wait={WAIT_SECONDS}"
            response = await next(turns).post(path, json={"variables": {"nonce": nonce}})
            assert response.raise_for_status().json()["status"] == "completed", response.text

        await flood(execute, fresh_nonces(10 * layout.shape.workers), in_flight=10)
        alone = await flood(execute, fresh_nonces(scale.alone), in_flight=1)
        meter = CpuMeter({**layout.pids, "client": psutil.Process().pid})
        began = time.perf_counter()
        await flood(execute, nonces, in_flight=IN_FLIGHT)
        seconds = time.perf_counter() - began
    cpu: dict[str, float] = {}
    for role, used in meter.read().items():
        kind = role.partition(" ")[0]
        cpu[kind] = cpu.get(kind, 0) + used * 1000 / len(nonces)
    per_second, alone_ms = len(nonces) / seconds, Spread.of(alone).times(1000)
    return Measured(layout.shape, per_second, alone_ms, cpu)


@asynccontextmanager
async def _delay_proxy(servers: Servers, port: int, delay_ms: float) -> AsyncIterator[int]:
    """The port of a proxy to a server; the server's own without a delay."""
    if not delay_ms:
        yield port
        return
    log = servers.directory / "proxy.log"
    child = await Child.start(
        "bench.delay_proxy",
        *(str(port), str(delay_ms)),
        environment={},
        log=log,
        cwd=servers.directory,
    )
    try:
        yield int((await child.read(within=READY_SECONDS))["port"])
    finally:
        await child.stop()


@asynccontextmanager
async def _worker(
    servers: Servers, environment: dict[str, str], number: int
) -> AsyncIterator[Child]:
    home = servers.directory / f"worker-{number}"
    home.mkdir(exist_ok=True)
    ready = home / "ready"
    ready.unlink(missing_ok=True)
    child = await Child.start(
        "worker",
        environment={**environment, "PERDURE_HOME": str(home), "PERDURE_READY_FILE": str(ready)},
        log=servers.directory / "workers.log",
        cwd=home,
    )

    async def is_ready() -> bool:
        return await asyncio.to_thread(ready.exists)

    try:
        await eventually(is_ready, within=2 * READY_SECONDS, what="a worker")
        yield child
    finally:
        await child.stop()


@asynccontextmanager
async def _gateway(
    servers: Servers, environment: dict[str, str], number: int
) -> AsyncIterator[tuple[Child, str]]:
    home = servers.directory / f"gateway-{number}"
    home.mkdir(exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    child = await Child.start(
        "cli.gateway",
        environment={**environment, "PERDURE_HOME": str(home), "PERDURE_API_PORT": str(port)},
        log=servers.directory / "gateways.log",
        cwd=home,
    )

    async def is_ready() -> bool:
        try:
            async with httpx2.AsyncClient() as client:
                return (await client.get(f"{url}/health/live")).is_success
        except httpx2.TransportError:
            return False

    try:
        await eventually(is_ready, within=2 * READY_SECONDS, what="a gateway")
        yield child, url
    finally:
        await child.stop()
