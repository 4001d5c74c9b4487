"""Starts the process of the proxy, and opens it for sandboxes of this worker.

The process starts with the first sandbox that has network and ends when there is none for a while.
If it ends by itself, open sandboxes lose their connections, and the next one starts another.
"""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from domain.errors import SandboxUnavailableError
from domain.web.connections import NO_CONNECTIONS, ConnectionLog, read_connections
from domain.web.network import NetworkList
from runtime.egress.namespace_sockets import MessageSender, receive_message, send_message
from runtime.network import OwnEndpoint

_MODULE = "runtime.egress.process"

_IDLE_SECONDS = 60.0
"""After this time without sandboxes the process ends: it uses 30 MB."""

_ANSWER_SECONDS = 20.0
"""For an answer: it takes milliseconds, on a loaded machine far more; as for a sandbox (chosen)."""


class OpenedProxy:
    """The proxy of one sandbox."""

    def __init__(self, process: "_ProxyProcess", number: int) -> None:
        """`number` identifies the sandbox in requests."""
        self._process = process
        self._number = number
        self.rest = NO_CONNECTIONS
        """What `take` has not returned; known after the end."""

    async def take(self) -> ConnectionLog:
        """Return the connections that ended since the last time."""
        return await self._ask("take")

    async def close(self) -> None:
        """End all connections."""
        self.rest = await self._ask("close")

    async def _ask(self, operation: str) -> ConnectionLog:
        answer = await self._process.ask({"op": operation, "id": self._number})
        return read_connections(answer and answer.get("log"))


class EgressProxy:
    """The proxy of one worker."""

    def __init__(self, network: NetworkList, own: Sequence[OwnEndpoint]) -> None:
        """`network` is what the operator allows; no tool connects to `own`."""
        self._settings = {
            "network": network.texts(),
            "own": [[endpoint.host, endpoint.port] for endpoint in own],
        }
        self._process: _ProxyProcess | None = None
        self._starting = asyncio.Lock()
        self._open = 0
        self._last_number = 0
        self._idle: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def open(
        self, leader: int, allowed: NetworkList, journal: Path | None
    ) -> AsyncIterator[OpenedProxy]:
        """Let a sandbox connect to what is allowed, while the block lasts.

        `leader` is a process of the sandbox, held or running. `journal` is a file to which the
        connections that are recorded are appended, one JSON object per line.

        Raises:
            SandboxUnavailableError: the proxy can't be opened, with the reason.
        """
        self._open += 1
        try:
            process = await self._running()
            opened = await self._open_or_close(process, leader, allowed, journal)
            try:
                yield opened
            finally:
                await asyncio.shield(opened.close())
        finally:
            self._open -= 1
            self._end_when_idle()

    async def close(self) -> None:
        """End the process."""
        if self._idle is not None:
            self._idle.cancel()
        if self._process is not None:
            await self._process.end()

    async def _open_or_close(
        self, process: "_ProxyProcess", leader: int, allowed: NetworkList, journal: Path | None
    ) -> OpenedProxy:
        """Open the proxy. A cancellation closes it again, because the request was sent."""
        opening = asyncio.ensure_future(self._open_in(process, leader, allowed, journal))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(SandboxUnavailableError):
                await (await opening).close()
            raise

    async def _open_in(
        self, process: "_ProxyProcess", leader: int, allowed: NetworkList, journal: Path | None
    ) -> OpenedProxy:
        self._last_number += 1
        number = self._last_number
        try:
            namespace = os.open(f"/proc/{leader}/ns/net", os.O_RDONLY)
        except OSError as error:
            raise _unavailable(str(error)) from error
        try:
            request = {
                "op": "open",
                "id": number,
                "allow": allowed.texts(),
                "journal": journal and str(journal),
            }
            answer = await process.ask(request, namespace)
        finally:
            os.close(namespace)
        if answer is None or answer["problem"]:
            raise _unavailable(answer["problem"] if answer else "its process has ended")
        return OpenedProxy(process, number)

    async def _running(self) -> "_ProxyProcess":
        if self._idle is not None:
            self._idle.cancel()
        async with self._starting:
            if self._process is None or self._process.has_ended:
                self._process = await _ProxyProcess.start(self._settings)
            return self._process

    def _end_when_idle(self) -> None:
        if self._open == 0 and self._process is not None:
            process = self._process
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(_IDLE_SECONDS, process.leave)


class _ProxyProcess:
    """A running process and the requests that it has not answered."""

    def __init__(self, process: Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._sender = MessageSender(control)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_request = 0
        self.has_ended = False
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._receive)

    @classmethod
    async def start(cls, settings: object) -> "_ProxyProcess":
        """Start the process; it needs no answer to be ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _MODULE),
                stdin=theirs.fileno(),
                env={},
            )
        send_message(ours, settings)
        return cls(process, ours)

    async def ask(self, request: dict[str, Any], *descriptors: int) -> Any:
        """Return the answer, or None if the process has ended or does not answer."""
        if self.has_ended:
            return None
        number = self._last_request = self._last_request + 1
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._sender.send({**request, "request": number}, descriptors)
                return await answer
        except (OSError, TimeoutError):
            await self.end()
            return None
        finally:
            self._waiting.pop(number, None)

    def _receive(self) -> None:
        try:
            received = receive_message(self._control)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self.leave()
            return
        answer: Any = received[0]
        waiting = self._waiting.get(answer["request"])
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def leave(self) -> None:
        """Close the socket, with which the process ends."""
        if self.has_ended:
            return
        self.has_ended = True
        asyncio.get_running_loop().remove_reader(self._control)
        self._sender.close()
        self._control.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)

    async def end(self) -> None:
        """End the process and wait until it has ended."""
        self.leave()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def _unavailable(reason: str) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"The network of the sandbox can't be opened ({reason}), so the command did not run. Try "
        "again; if it happens often, an operator should look at the log of the worker."
    )
