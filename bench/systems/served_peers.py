"""The peers with a server that clients call over HTTP: Restate, and LangGraph's Agent Server."""

import asyncio
import tomllib
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from subprocess import PIPE
from typing import Any

import httpx2

from bench.children import READY_SECONDS, Child
from bench.flood import flood
from bench.job import Job
from bench.packages import peers_python, restate_server
from bench.processes import Roles
from bench.systems.system import POWER_LOSS, PROCESS_DEATH, PeerProcess, Recorded
from bench.waiting import eventually
from bench.world import CLIENT_CONNECTIONS, World
from cli.stack.addresses import free_port

EXECUTION_SECONDS = 300.0
"""Longer than an execution takes whose worker was killed."""

KEEP_ALIVE_SECONDS = 2
"""Shorter than that of the servers: a connection that is about to close must not be used."""

NOT_FOUND = 404


class ServedPeer(PeerProcess, ABC):
    """A process that serves executions on a port that it keeps after a crash, and its client."""

    def __init__(self, name: str, world: World, module: str) -> None:
        """Use `restate` or `langgraph_dev`."""
        self.port = free_port()
        super().__init__(name, world, module, [str(self.port)], [], python=peers_python())
        limits = httpx2.Limits(
            max_connections=CLIENT_CONNECTIONS, keepalive_expiry=KEEP_ALIVE_SECONDS
        )
        self.http = httpx2.AsyncClient(timeout=EXECUTION_SECONDS, limits=limits)

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""

        async def one(nonce: str) -> None:
            await self.execute(nonce, job.prompt(nonce))

        return await flood(one, nonces, in_flight=in_flight)

    @abstractmethod
    async def execute(self, nonce: str, prompt: str) -> None:
        """Run one execution; the response comes when it has ended."""

    async def post(self, url: str, body: object) -> Any:
        """The JSON of the response."""
        response = await self.http.post(url, json=body, headers={"Accept": "application/json"})
        return response.raise_for_status().json()


class Restate(ServedPeer):
    """Restate's server with its default settings, and a service."""

    def __init__(self, world: World) -> None:
        """Use `restate`."""
        super().__init__("Restate", world, "bench.peers.restate_app")
        ingress, admin, node = (free_port() for _ in range(3))
        self._ingress, self._admin = f"http://127.0.0.1:{ingress}", f"http://127.0.0.1:{admin}"
        self._environment = {
            "RESTATE_BASE_DIR": str(world.directory / "restate"),
            "RESTATE_INGRESS__BIND_PORT": str(ingress),
            "RESTATE_ADMIN__BIND_PORT": str(admin),
            "RESTATE_BIND_PORT": str(node),
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_LOG_FILTER": "warn",
            "RESTATE_DISABLE_TELEMETRY": "true",
        }
        self._server: Child | None = None

    @property
    def roles(self) -> Roles:
        """The service, the server, the client and the model."""
        assert self._server is not None
        return {**super().roles, "restate": self._server.pid}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Start the server and the service, and register the service."""
        directory = self._world.directory
        self._server = await Child.start_program(
            [restate_server(), "--no-logo"],
            environment=self._environment,
            log=directory / "restate.log",
            cwd=directory,
        )
        try:
            await eventually(self._is_ready, within=READY_SECONDS, what="Restate's server")
            async with self.running():
                uri = f"http://127.0.0.1:{self.port}"
                await self.post(f"{self._admin}/deployments", {"uri": uri})
                yield
        finally:
            await self._server.stop()

    async def execute(self, nonce: str, prompt: str) -> None:
        """Run one execution; the response comes when it has ended."""
        del nonce
        await self.post(f"{self._ingress}/Agent/run", prompt)

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """The server keeps the requests of its clients open."""
        await flood
        return 0

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution and count the entries of its journal."""
        before = await self._count_entries()
        await self.run(job, [nonce], in_flight=1)
        entries = await self._count_entries() - before
        return Recorded(survives=await self._survives(), history_events=entries)

    async def _count_entries(self) -> int:
        query = {"query": "SELECT count(*) AS entries FROM sys_journal"}
        found: int = (await self.post(f"{self._admin}/query", query))["rows"][0]["entries"]
        return found

    async def _survives(self) -> str:
        """By the server's own settings: whether it flushes its log before it acknowledges."""
        process = await asyncio.create_subprocess_exec(
            restate_server(), "--dump-config", env=self._environment, stdout=PIPE, stderr=PIPE
        )
        settings = tomllib.loads((await process.communicate())[0].decode())
        return PROCESS_DEATH if settings["log-server"]["rocksdb-disable-wal-fsync"] else POWER_LOSS

    async def _is_ready(self) -> bool:
        try:
            for url in (f"{self._admin}/health", f"{self._ingress}/restate/health"):
                if not (await self.http.get(url)).is_success:
                    return False
        except httpx2.TransportError:
            return False
        return True


class LangGraphDev(ServedPeer):
    """LangGraph's Agent Server with the runtime that needs no licence key."""

    def __init__(self, world: World) -> None:
        """Use `langgraph_dev`."""
        super().__init__("LangGraph dev", world, "bench.peers.langgraph_server")
        self._threads: list[str] = []

    async def run(self, job: Job, nonces: Sequence[str], *, in_flight: int) -> list[float]:
        """Run an execution for every nonce to its end; the seconds each took."""
        self._threads = [_thread(nonce) for nonce in nonces]
        return await super().run(job, nonces, in_flight=in_flight)

    async def execute(self, nonce: str, prompt: str) -> None:
        """Run one execution; the response comes when it has ended."""
        state = await self.post(f"{self._url(_thread(nonce))}/runs/wait", _run_of(prompt))
        assert state["messages"][-1]["role"] == "assistant", state

    async def outlive(self, flood: asyncio.Task[list[float]]) -> int:
        """Count the threads that the new process does not have in its files."""
        with suppress(ExceptionGroup):
            await flood

        async def is_known(thread: str) -> bool:
            response = await self.http.get(self._url(thread))
            if response.status_code == NOT_FOUND:
                return False
            return bool(response.raise_for_status().json()["status"] == "idle")

        known = [await is_known(thread) for thread in self._threads]
        return known.count(False)

    async def count_recorded(self, job: Job, nonce: str) -> Recorded:
        """Run one execution; what is on record is in memory."""
        await self.run(job, [nonce], in_flight=1)
        return Recorded()

    def _url(self, thread: str) -> str:
        return f"http://127.0.0.1:{self.port}/threads/{thread}"


def _thread(nonce: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, nonce))


def _run_of(prompt: str) -> Mapping[str, object]:
    return {
        "assistant_id": "agent",
        "input": {"messages": [{"role": "user", "content": prompt}]},
        "if_not_exists": "create",
    }


@asynccontextmanager
async def restate(world: World) -> AsyncIterator[Restate]:
    """Restate with its default settings, which flush its log."""
    system = Restate(world)
    async with system.http, system.serving():
        yield system


@asynccontextmanager
async def langgraph_dev(world: World) -> AsyncIterator[LangGraphDev]:
    """The server of `langgraph dev`."""
    system = LangGraphDev(world)
    async with system.http, system.running():
        yield system
