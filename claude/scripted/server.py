"""Runs the scripted server in a thread of this process, or as a process."""

import json
import socket
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from claude.scripted.app import build_app
from claude.scripted.gates import Gates
from claude.scripted.request_log import LoggedCall, RequestLog

_BACKLOG = 2048  # a thousand executions may connect at once
_KEEP_ALIVE_SECONDS = (
    75  # longer than the client keeps idle connections, so that only the client closes them
)


class ScriptedModelServer:
    """Runs a scripted model in a thread during a `with` block."""

    def __init__(self, *, scripts: Path | None = None, port: int = 0) -> None:
        """`scripts` is the folder of scripts that prompts may name; port 0 means any free port."""
        self._log = RequestLog()
        self._socket = _listen("127.0.0.1", port)
        self._gates = Gates()
        self._server = _server(self._log, self._gates, scripts)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="scripted-model"
        )

    def __enter__(self) -> Self:
        """Start the server. Its socket listens already, so that a client can connect at once."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop all connections and stop."""
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    @property
    def base_url(self) -> str:
        """The value for `ANTHROPIC_BASE_URL`."""
        return _url(self._socket)

    def open_gate(self, name: str) -> None:
        """Send the answers that wait at this gate, and hold back no later ones."""
        self._gates.open(name)

    @property
    def requests(self) -> list[bytes]:
        """The exact request bodies, oldest first; only the latest 64 MiB."""
        return self._log.bodies

    @property
    def calls(self) -> list[LoggedCall]:
        """All calls so far, with how each ended."""
        return list(self._log.calls)


def serve(*, host: str, port: int, scripts: Path | None) -> None:
    """Print the address as one line of JSON, then serve until SIGINT or SIGTERM."""
    listening = _listen(host, port)
    sys.stdout.write(json.dumps({"base_url": _url(listening)}) + "\n")
    sys.stdout.flush()
    _server(RequestLog(), Gates(), scripts).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=_BACKLOG)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"


def _server(log: RequestLog, gates: Gates, scripts: Path | None) -> uvicorn.Server:
    config = uvicorn.Config(
        build_app(log, gates, scripts),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,  # the process that runs the server configures logging
        log_level="critical",  # uvicorn would log a scripted cut as an error
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,  # unfinished answers are not needed
    )
    return uvicorn.Server(config)
