"""The servers all systems share: a fresh `perdure up` and a scripted model, in processes."""

import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2

from bench.children import (
    READY_SECONDS,
    ROOT,
    Child,
    ChildError,
    scripted_model,
    temporary_directory,
)
from bench.processes import Roles
from bench.waiting import eventually
from cli.stack.home import Home
from cli.stack.process import read_tail

UP = ("--api-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")
CLIENT_CONNECTIONS = 2000
"""A connection for every request in flight: a pool that queues would hide the gateway's time."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What the scripted model was asked since its start."""

    requests: list[dict[str, Any]]

    @property
    def count(self) -> int:
        """All calls."""
        return len(self.requests)

    def group_by_turn(self) -> dict[tuple[str, int], list[dict[str, Any]]]:
        """Calls by conversation and turn: more than one is a repeat."""
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for request in self.requests:
            found.setdefault((request["conversation"], request["turn"]), []).append(request)
        return found

    def repeats(self) -> Counter[str]:
        """Calls made again, by conversation."""
        found: Counter[str] = Counter()
        for (conversation, _), same_turn in self.group_by_turn().items():
            if len(same_turn) > 1:
                found[conversation] += len(same_turn) - 1
        return found

    def having(self, outcome: str) -> list[dict[str, Any]]:
        """Those that ended so, or are `open`."""
        return [request for request in self.requests if request["outcome"] == outcome]


class World:
    """A running stack, and where everything in it is reached."""

    def __init__(self, directory: Path, up: "Up", model: Child, base_url: str) -> None:
        """Use `running`."""
        self.directory = directory
        self._up = up
        self._model = model
        self.base_url = base_url
        self._client = httpx2.AsyncClient(timeout=READY_SECONDS)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, environment: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator["World"]:
        """Everything fresh, in a home that is deleted at the end; `environment` has settings."""
        async with AsyncExitStack() as stack:
            directory = stack.enter_context(temporary_directory())
            (directory / "empty").mkdir()
            model, base_url = await stack.enter_async_context(scripted_model(directory))
            settings = {**model_environment(base_url), **environment}
            up = await Up.start(directory, settings)
            stack.push_async_callback(up.stop)
            world = cls(directory, up, model, base_url)
            stack.push_async_callback(world._client.aclose)
            yield world

    @property
    def facts(self) -> dict[str, Any]:
        """The current content of `ready.json`."""
        return self._up.facts()

    @property
    def home(self) -> Home:
        """The files of the stack."""
        return self._up.home

    def roles(self, *names: str) -> Roles:
        """Process ids of these parts of the stack, of the model and of this process."""
        pids = {**self._up.pids(), "model": self._model.pid, "client": os.getpid()}
        return {name: pids[name] for name in (*names, "model", "client")}

    async def peer(self, module: str, *arguments: str, python: str = sys.executable) -> Child:
        """A peer's process, ready. Its working directory is empty."""
        child = await Child.start(
            module,
            *arguments,
            environment=model_environment(self.base_url),
            log=self.directory / f"{module}.log",
            cwd=self.directory / "empty",
            python=python,
        )
        await child.read(within=READY_SECONDS)
        return child

    async def command(self, *arguments: str) -> None:
        """Run a `perdure` command on this stack to its end.

        Raises:
            ChildError: it failed.
        """
        child = await Child.start(
            "cli.main",
            *arguments,
            environment={"PERDURE_HOME": str(self._up.home.path)},
            log=self.directory / "command.log",
            cwd=self.directory,
        )
        await child.wait_until_finished()

    async def calls(self) -> Calls:
        """The scripted model's log."""
        response = await self._client.get(f"{self.base_url}/requests")
        return Calls(response.json()["requests"])


class Up:
    """One `perdure up`."""

    def __init__(self, child: Child, home: Home, log: Path, ready_seconds: float) -> None:
        """Use `start`."""
        self.home = home
        self._child = child
        self._log = log
        self.ready_seconds = ready_seconds

    @classmethod
    async def start(cls, directory: Path, environment: Mapping[str, str]) -> "Up":
        """Start it on a home in `directory` and wait until it is ready."""
        home = Home(directory / "home")
        log = directory / "up.log"
        began = time.perf_counter()
        child = await Child.start(
            "cli.main",
            "up",
            *UP,
            environment={**environment, "PERDURE_HOME": str(home.path)},
            log=log,
            cwd=ROOT,
        )

        async def is_ready() -> bool:
            if not child.is_running:
                raise ChildError(f"perdure up ended:\n{read_tail(log)}")
            return home.read_ready() is not None

        await eventually(is_ready, within=READY_SECONDS, what="perdure up")
        return cls(child, home, log, time.perf_counter() - began)

    def facts(self) -> dict[str, Any]:
        """The current content of `ready.json`."""
        facts = self.home.read_ready()
        if facts is None:
            raise ChildError(f"perdure up is not ready any more:\n{read_tail(self._log)}")
        return facts

    def pids(self) -> dict[str, int]:
        """Process ids by part."""
        pids: dict[str, int] = self.facts()["pids"]
        return pids

    async def stop(self) -> None:
        """Stop it cleanly."""
        await self._child.stop()


def model_environment(base_url: str) -> dict[str, str]:
    """What makes the SDK talk to the scripted model."""
    return {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": "scripted-model"}
