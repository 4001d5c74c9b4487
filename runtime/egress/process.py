"""The process of the proxy; `runtime.egress.client` starts it, one for each worker.

Its standard input is a socket. It receives `{"network": [...], "own": [[host, port], ...]}`, then
requests, each with its own number, `request`, and the `id` of a sandbox: `{"op": "open", "allow":
[...], "journal": path or null}` with the descriptor of a network namespace, `{"op": "take"}` and
`{"op": "close"}`. It answers with `{"request", "problem"}`, or with `{"request", "log"}`, the
connections that ended since the last answer.
When the socket is closed, because the worker ended, it ends with all connections.
"""

import asyncio
import json
import os
import resource
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from domain.web.connections import MAX_RECORDED, NO_CONNECTIONS, Connection, ConnectionLog
from domain.web.network import NetworkList
from runtime.egress.namespace_sockets import (
    MessageSender,
    receive_message,
    send_message,
    start_opener,
)
from runtime.egress.proxy import SandboxProxy
from runtime.network import NetworkGuard, OwnEndpoint

_MOST_FILES = 65_536


@dataclass(slots=True)
class _Sandbox:
    """The proxy of one sandbox and what it has recorded."""

    journal: BinaryIO | None
    proxy: SandboxProxy | None = None
    log: ConnectionLog = field(default=NO_CONNECTIONS)

    def record(self, connection: Connection) -> None:
        """Count a connection; the journal keeps it if the worker ends before it asks."""
        is_kept = len(self.log.connections) < MAX_RECORDED
        self.log = self.log.with_connections([connection])
        if is_kept and self.journal is not None:
            with suppress(OSError):  # the disk is full: the worker still gets the record
                self.journal.write(json.dumps(asdict(connection)).encode() + b"\n")

    def take(self) -> dict[str, Any]:
        """Return the connections since the last time."""
        taken, self.log = self.log, NO_CONNECTIONS
        return taken.as_json()

    async def close(self) -> None:
        """End all connections."""
        if self.proxy is not None:
            await self.proxy.close()
        if self.journal is not None:
            self.journal.close()


class ProxyProcess:
    """Answers the requests of the worker."""

    def __init__(self, control: socket.socket, opener: socket.socket, guard: NetworkGuard) -> None:
        """`opener` is the channel to the process that opens sockets."""
        self._control = control
        self._sender = MessageSender(control)
        self._opener = opener
        self._guard = guard
        self._opening = asyncio.Lock()
        self._sandboxes: dict[int, _Sandbox] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer requests until the worker closes the socket."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._control.setblocking(False)

        def receive() -> None:
            try:
                received = receive_message(self._control)
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                loop.remove_reader(self._control)
                ended.set()
                return
            task = asyncio.create_task(self._answer(*received))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop.add_reader(self._control, receive)
        await ended.wait()

    async def _answer(self, request: Any, descriptors: list[int]) -> None:
        answer: dict[str, Any]
        if request["op"] == "open":
            answer = {"problem": await self._open(request, descriptors)}
        else:
            answer = {"log": await self._take(request)}
        with suppress(OSError):  # the worker has ended
            await self._sender.send({**answer, "request": request["request"]})

    async def _take(self, request: Any) -> dict[str, Any]:
        sandbox = self._sandboxes[request["id"]]
        if request["op"] == "close":
            del self._sandboxes[request["id"]]
            await sandbox.close()
        elif sandbox.proxy is not None:
            await sandbox.proxy.report_closed()
        return sandbox.take()

    async def _open(self, request: Any, descriptors: list[int]) -> str | None:
        if not descriptors:
            return "too many files are open"
        [namespace] = descriptors
        try:
            listener = await self._listen(namespace)
            sandbox = _Sandbox(await asyncio.to_thread(_open_journal, request["journal"]))
        except OSError as error:
            return str(error)
        finally:
            os.close(namespace)
        allowed = NetworkList.parse(request["allow"])
        sandbox.proxy = SandboxProxy(listener, self._guard, allowed, on_connection=sandbox.record)
        self._sandboxes[request["id"]] = sandbox
        return None

    async def _listen(self, namespace: int) -> socket.socket:
        async with self._opening:
            send_message(self._opener, {}, [namespace])
            received = await asyncio.to_thread(receive_message, self._opener)
        if received is None:
            raise OSError("the process that opens sockets has ended")
        answer, descriptors = received
        if not descriptors:
            raise OSError(f"no socket in the sandbox: {answer}")
        return socket.socket(fileno=descriptors[0])


def _open_journal(path: str | None) -> BinaryIO | None:
    """Open a journal without a buffer: each write is in the file, or lost at once."""
    return None if path is None else Path(path).open("ab", buffering=0)


async def serve(control: socket.socket, opener: socket.socket) -> None:
    """Read the configuration, then answer requests."""
    received = receive_message(control)
    if received is None:
        return
    settings: Any = received[0]
    own = [OwnEndpoint(host, port) for host, port in settings["own"]]
    guard = NetworkGuard(NetworkList.parse(settings["network"]), own)
    await ProxyProcess(control, opener, guard).run()


def main() -> None:
    """Run until the worker closes the socket."""
    import uvloop  # noqa: PLC0415 - after the process that opens sockets was forked

    control = socket.socket(fileno=sys.stdin.fileno())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    opener = start_opener(control)
    uvloop.run(serve(control, opener))
    os._exit(0)  # threads of look-ups can't be cancelled


if __name__ == "__main__":
    main()
