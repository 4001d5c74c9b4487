"""Keeps parts running: restarts a part that ends, each time after a longer delay."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from cli.stack.process import Part, PartFailedError, Process, RunningPart, describe_exit

# Executions wait for the worker, so the first restart is immediate; a part that ends at every start
# must not use up the machine (chosen).
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 30.0
# After this time a part counts as stable: the first delay applies again (chosen).
STEADY_SECONDS = 60.0


class Supervisor:
    """Runs parts by name.

    `report` gets sentences for people; `on_change` is called when a part ends and when it is back.
    """

    def __init__(self, *, report: Callable[[str], None], on_change: Callable[[], None]) -> None:
        """Nothing runs until `start`."""
        self._report = report
        self._on_change = on_change
        self._running: dict[str, RunningPart] = {}
        self._restarters: dict[str, asyncio.Task[None]] = {}

    async def start(self, part: Part, process: Process | None = None) -> None:
        """Start a part, wait until it is ready, and keep it running from then on.

        `process` is its first process, if that runs already.

        Raises:
            PartFailedError: it could not be started; a first start is not retried.
        """
        self._running[part.name] = await RunningPart.start(part, process)
        self._restarters[part.name] = asyncio.create_task(self._keep_running(part))

    def pid(self, name: str) -> int | None:
        """The process id of a part, None while it does not run."""
        running = self._running.get(name)
        return running.pid if running else None

    async def stop(self, *names: str) -> None:
        """Stop these parts concurrently; unknown names are ignored."""
        await asyncio.gather(*(self._stop(name) for name in names))

    def kill(self) -> None:
        """Kill all parts; a `stop` that waits for them returns."""
        for keeper in self._restarters.values():
            keeper.cancel()
        for running in self._running.values():
            running.kill()

    async def _stop(self, name: str) -> None:
        keeper = self._restarters.get(name)
        if keeper is not None:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
        running = self._running.get(name)
        if running is not None:
            await running.stop()
            del self._running[name]

    async def _keep_running(self, part: Part) -> None:
        clock = asyncio.get_running_loop().time
        delay = FIRST_DELAY_SECONDS
        while True:
            since = clock()
            code = await self._running[part.name].wait()
            if clock() - since > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            del self._running[part.name]
            self._on_change()
            self._report(f"{part.name} {describe_exit(code)}; starting it again in {delay:g} s")
            delay = await self._restart(part, delay)
            self._report(f"{part.name} is back")
            self._on_change()

    async def _restart(self, part: Part, delay: float) -> float:
        """Try until it is ready; returns the delay that comes next."""
        while True:
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            try:
                self._running[part.name] = await RunningPart.start(part)
            except PartFailedError as error:
                self._report(f"{error}\n{part.name} will be tried again in {delay:g} s")
            else:
                return delay
