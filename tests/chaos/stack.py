"""A real `perdure up` to be hurt, beside a scripted model that outlives whatever is killed."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import asyncpg
import httpx2
import psutil

from claude.scripted import ScriptedModelServer
from tests.stack import PERDURE, Up, environment, is_running
from tests.waiting import eventually

Part = Literal["worker", "api", "postgres", "temporal"]
PARTS: tuple[Part, ...] = ("worker", "api", "postgres", "temporal")

POSTGRES_UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that ended between the parts of a query
)

# A restart is a second of imports when the machine is free; here others use it too.
BACK_SECONDS = 180.0


class Stack:
    """One home over any number of `perdure up`s, with workers added by hand where a test asks."""

    def __init__(self, directory: Path, model: ScriptedModelServer, **settings: str) -> None:
        self.model = model
        self._directory = directory
        self._settings = {
            "ANTHROPIC_BASE_URL": model.base_url,
            "ANTHROPIC_API_KEY": "scripted",
            **settings,
        }
        self._workers: list[subprocess.Popen[bytes]] = []
        self._connection: asyncpg.Connection | None = None
        self._asking = asyncio.Lock()  # one statement at a time on the one connection
        self._http = httpx2.AsyncClient(trust_env=False)
        self.up = self._start()

    def _start(self) -> Up:
        return Up(self._directory, more=self._settings)

    # --- processes ------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Everything of this stack, the tools it runs included."""
        roots = [self.up.process, *self._workers]
        found = [psutil.Process(root.pid) for root in roots if root.poll() is None]
        return found + [child for root in found for child in root.children(recursive=True)]

    def pid(self, part: Part) -> int | None:
        """Of the part that runs now; None between its death and its return."""
        pid: int | None = self.up.facts()["pids"][part]
        return pid

    def signal(self, part: Part, number: signal.Signals) -> int:
        """Send a signal to a part; returns the process id that got it."""
        pid = self.pid(part)
        assert pid is not None, f"{part} does not run"
        os.kill(pid, number)
        return pid

    async def kill(self, part: Part) -> None:
        """kill -9, and wait until the supervisor has another one."""
        await self.wait_for_return(part, self.signal(part, signal.SIGKILL))

    async def wait_for_return(self, part: Part, before: int) -> None:
        """Wait until another process than `before` is the part and is ready."""

        async def another() -> bool:
            return self.pid(part) not in {before, None}

        await eventually(another, within=BACK_SECONDS, what=f"another {part}")

    async def kill_everything(self) -> None:
        """kill -9 of the supervisor and all it started, then `perdure up` on the same home."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # ended with the one before
                process.kill()
        for started in (self.up.process, *self._workers):
            started.wait()
        await wait_until_gone(processes)
        self._workers.clear()
        self.up = self._start()
        await self.ready()

    async def ready(self) -> None:
        """Wait until `perdure up` says that it is."""

        async def is_ready() -> bool:
            assert self.up.process.poll() is None, self.up.output.read_text()
            return self.up.has_printed("\nready ")

        await eventually(is_ready, within=BACK_SECONDS, what="perdure up")

    async def add_worker(self) -> subprocess.Popen[bytes]:
        """`perdure worker` on the same home, Postgres and Temporal; ready when this returns."""
        facts = self.up.facts()
        announced = self._directory / f"worker.{len(self._workers)}.ready"
        more = {
            "PERDURE_DATABASE_URL": facts["database_url"],
            "PERDURE_TEMPORAL_ADDRESS": facts["temporal_address"],
            "PERDURE_READY_FILE": str(announced),
        }
        with announced.with_suffix(".log").open("wb") as log:
            worker = subprocess.Popen(  # noqa: ASYNC220 - nothing waits for its pipes
                [PERDURE, "worker"],
                env=environment(self.up.home.path, **self._settings, **more),
                stdout=log,
                stderr=log,
            )
        self._workers.append(worker)

        async def is_ready() -> bool:
            return announced.exists()

        await eventually(is_ready, within=BACK_SECONDS, what="another worker")
        return worker

    async def stop(self) -> None:
        """End it as an operator would; nothing may be left of it."""
        await self._http.aclose()
        if self._connection is not None:
            self._connection.terminate()
        family = self.processes()
        for worker in self._workers:
            worker.terminate()
        self.up.process.terminate()
        for started in (self.up.process, *self._workers):
            started.wait(BACK_SECONDS)
        await wait_until_gone(family)

    # --- what is on record ----------------------------------------------------------------------

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of the stack's database; waits for a Postgres that is being restarted."""

        async def answered() -> tuple[list[asyncpg.Record]] | None:
            try:
                async with self._asking:
                    connection = await self._connect()
                    return (await connection.fetch(query, *arguments),)
            except POSTGRES_UNAVAILABLE:
                if self._connection is not None:
                    self._connection.terminate()
                return None

        answer = await eventually(answered, within=BACK_SECONDS, what="Postgres")
        return answer[0]

    async def _connect(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            facts = self.up.home.read_ready()
            if facts is None:
                raise ConnectionError("perdure up is not ready")
            self._connection = await asyncpg.connect(facts["database_url"], timeout=60)
        return self._connection

    # --- the gateway ----------------------------------------------------------------------------

    async def request(self, method: str, path: str, body: object = None, key: str = "") -> Any:
        """An answer of the gateway. What fails for want of a part is sent again, by its key once.

        A 4xx fails the test, but for `409`: that answer was given before.
        """

        async def answered() -> httpx2.Response | None:
            facts = self.up.home.read_ready()
            if facts is None:
                return None
            headers = {"Authorization": f"Bearer {facts['token']}"}
            if key:
                headers["Idempotency-Key"] = key
            try:
                answer = await self._http.request(
                    method, f"{facts['api_url']}/api/v1{path}", json=body, headers=headers
                )
            except httpx2.TransportError:
                return None
            in_progress = answer.status_code == 409 and "in_progress" in answer.text
            return None if answer.is_server_error or in_progress else answer

        response = await eventually(answered, within=BACK_SECONDS, what=f"{method} {path}")
        assert response.is_success or response.status_code == 409, response.text
        return response.json()

    async def get(self, path: str) -> Any:
        """A resource."""
        return await self.request("GET", path)

    async def post(self, path: str, body: object, *, key: str = "") -> Any:
        """Send once, however often the gateway dies meanwhile, where there is a key."""
        return await self.request("POST", path, body, key)


@asynccontextmanager
async def running_stack(directory: Path, **settings: str) -> AsyncIterator[Stack]:
    """A stack that is ready; stopped at the end, and nothing of it left."""
    with ScriptedModelServer() as model:
        stack = Stack(directory, model, **settings)
        try:
            await stack.ready()
            yield stack
        finally:
            await stack.stop()


async def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Wait until all of them have ended."""

    async def all_gone() -> bool:
        return not any(map(is_running, processes))

    await eventually(all_gone, what="the end of every process")
