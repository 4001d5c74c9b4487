"""Several workers on one host: `python -m cli.stack.worker_processes COUNT [OPTION]...`.

They share the home directory, and with it the host's workspaces and its task queue. This process
starts them, hands SIGTERM and Ctrl-C on to them, and ends when all of them have ended. If one ends
by itself, the others are stopped too, so that what supervises this process can start all again.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.stack.parts import own_module
from cli.stack.process import POLL_SECONDS, tie_to_parent
from runtime.readiness import announce, is_announced

READY_FILE = "PERDURE_READY_FILE"
BY_SIGNAL = 128
"""Added to the number of a signal in exit codes, as shells do."""


class WorkerProcesses:
    """Workers that start and stop together."""

    def __init__(self, directory: Path, processes: Sequence[asyncio.subprocess.Process]) -> None:
        """Use `start`."""
        self._directory = directory
        self._processes = processes

    @classmethod
    async def start(
        cls, directory: Path, count: int, options: Sequence[str], environment: Mapping[str, str]
    ) -> "WorkerProcesses":
        """Start `count` workers with these options; each writes a file in `directory`."""
        command = tie_to_parent(own_module("worker", *options), signal.SIGKILL, "self")
        return cls(
            directory,
            [
                await asyncio.create_subprocess_exec(
                    *command, env={**environment, READY_FILE: str(directory / str(number))}
                )
                for number in range(count)
            ],
        )

    async def ready(self) -> None:
        """Wait until all workers are ready."""
        for number, process in enumerate(self._processes):
            while not is_announced(self._directory / str(number), process.pid):  # noqa: ASYNC110 - other processes write
                await asyncio.sleep(POLL_SECONDS)

    async def run(self, stopping: asyncio.Event) -> int:
        """Wait until `stopping` is set or a worker has ended, then stop the others.

        Return the exit code: the first of a worker that is not 0.
        """
        ends = [asyncio.create_task(process.wait()) for process in self._processes]
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait([stop, *ends], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.terminate()
        codes = await asyncio.gather(*ends)
        return next((code if code > 0 else BY_SIGNAL - code for code in codes if code), 0)


async def run(count: int, options: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run workers until SIGTERM or Ctrl-C; return the exit code."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    ready_file = environment.get(READY_FILE)

    async def announce_all(workers: WorkerProcesses) -> None:
        await workers.ready()
        announce(Path(ready_file) if ready_file else None)

    with TemporaryDirectory() as directory:
        workers = await WorkerProcesses.start(Path(directory), count, options, environment)
        announcing = asyncio.create_task(announce_all(workers))
        try:
            return await workers.run(stopping)
        finally:
            announcing.cancel()


if __name__ == "__main__":
    sys.exit(asyncio.run(run(int(sys.argv[1]), sys.argv[2:], dict(os.environ))))
