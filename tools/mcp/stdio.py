"""An MCP server that is a program: it runs in the sandbox and answers on its standard input."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

from domain.errors import PerdureError
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import RemoteScope
from domain.text import harmless
from domain.tools.calls import ProcessIdentity
from domain.web.connections import NO_CONNECTIONS, ConnectionLog
from mcp_client.failures import find_error
from mcp_client.http import MAX_MESSAGE_BYTES
from tools.commands import HeldCommand
from tools.launch import HeldJob
from tools.network import OpenedNetwork
from tools.output import Spool, decode
from tools.processes import read_started_ticks
from tools.shell import Shell
from tools.workspaces import Site

STDERR_BYTES = 1024 * 1024
"""Of what a program prints for people; more is discarded (chosen)."""

SHOWN_BYTES = 2000
"""Of the end of that, in an error (chosen)."""

MAX_NOTICES = 100_000
"""Lines of one program that answer no request, such as progress: a hundred a second for as long as
an attempt may take (chosen). Each costs the worker time, which other executions need."""

_EXIT_SECONDS = 0.5
"""To see the exit code after the output has ended."""


class ProgramEndedError(Exception):
    """The program has ended, or its output is not the protocol."""


class StdioServer:
    """A transport for `mcp_client.connections.Connection`: enter it once."""

    def __init__(
        self,
        shell: Shell,
        site: Site,
        server: ResolvedServer,
        *,
        scope: RemoteScope,
        programs: tuple[Path, ...],
    ) -> None:
        """`programs` are directories of the host that the program may read."""
        self._shell = shell
        self._user_id = scope.user_id
        self._workspace = site.workspace
        self._job = HeldJob(
            [server.command or "", *server.args],
            site.workspace.root,
            may_write=site.refusal is None,
            is_dialogue=True,
            environment=server.environment,
            programs=programs,
            network=shell.network_of(scope.network),
        )
        self._network: OpenedNetwork | None = None
        self._spool: Spool | None = None
        self._printed = ""
        self._end: str | None = None
        self.identity: ProcessIdentity | None = None
        """The process group of the program, once it runs."""

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Any]:
        """Start the program and open its streams of messages. At the end, all processes end."""
        with Spool(self._workspace.private, STDERR_BYTES) as spool:
            self._spool = spool
            try:
                async with (
                    self._shell.hold(self._job, spool, self._workspace, self._user_id) as command,
                    self._shell.connect(command, self._job) as network,
                ):
                    self._network = network
                    self.identity = self._shell.identity(command)
                    command.release()
                    async with self._messages(command) as streams:
                        yield streams
            finally:
                self._network = None
                self._printed = _end_of(spool)
                self._spool = None

    @asynccontextmanager
    async def _messages(self, command: HeldCommand) -> AsyncIterator[Any]:
        """Connect the program's standard input and output with streams of messages."""
        reader, writer = await asyncio.open_unix_connection(
            sock=command.connection, limit=MAX_MESSAGE_BYTES
        )
        received, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, to_send = anyio.create_memory_object_stream[SessionMessage](0)

        async def read() -> None:
            notices = 0
            async with received:
                while line := await _next_line(reader):
                    message = _parse(line)
                    if message is not None:
                        await received.send(message)
                    if not _is_answer(message):
                        notices += 1
                        _require_few(notices)
                        # A line that was received already is read without a pause.
                        await asyncio.sleep(0)
                # Before the stream is closed, which ends the requests that wait.
                self._end = await _describe_end(command)
            raise ProgramEndedError(self._end)

        async def write() -> None:
            async with to_send:
                async for message in to_send:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    writer.write(text.encode() + b"\n")
                    await writer.drain()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(write)
                async with incoming, outgoing:
                    yield incoming, outgoing
                group.cancel_scope.cancel()
        finally:
            writer.close()

    @property
    def has_ended(self) -> bool:
        """Whether its first process has ended; the connection notices that a moment later."""
        if self.identity is None:
            return False
        return read_started_ticks(self.identity.process_group) != self.identity.started_ticks

    async def take_connections(self) -> ConnectionLog:
        """Return what the program has connected to since the last time."""
        return NO_CONNECTIONS if self._network is None else await self._network.take()

    async def end_session(self) -> None:
        """Do nothing: the program ends with its streams."""

    @property
    def is_expired(self) -> bool:
        """Never: the session is the process."""
        return False

    @property
    def is_refused(self) -> bool:
        """Never: a program may start at the next try."""
        return False

    def failure(self, error: BaseException | None) -> str | None:
        """Why the server can't be used, with what the program printed, or None."""
        if (refused := find_error(error, PerdureError)) is not None:
            return refused.detail
        printed = self._printed if self._spool is None else _end_of(self._spool)
        ended = find_error(error, ProgramEndedError)
        reason = self._end if ended is None else str(ended)
        if reason is None and not printed:
            return None
        reason = reason or "It does not answer."
        return f"{reason} It printed:\n{printed}" if printed else reason


def _end_of(spool: Spool) -> str:
    """Return the last lines that the program printed for people."""
    with spool.path.open("rb") as file:
        file.seek(max(spool.stored_bytes - SHOWN_BYTES, 0))
        return harmless(decode(file.read())).strip()


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        size = MAX_MESSAGE_BYTES // 1024**2
        raise ProgramEndedError(f"A line of its output has more than {size} MiB.") from None
    except OSError:
        return b""


def _parse(line: bytes) -> SessionMessage | None:
    """Return the message on a line; None for lines that are none, which some programs print."""
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


def _is_answer(message: SessionMessage | None) -> bool:
    return message is not None and isinstance(message.message, JSONRPCResponse | JSONRPCError)


def _require_few(notices: int) -> None:
    if notices > MAX_NOTICES:
        raise ProgramEndedError(f"It wrote more than {MAX_NOTICES:,} lines that are no answers.")


async def _describe_end(command: HeldCommand) -> str:
    code = await command.end_within(_EXIT_SECONDS)
    if command.stopped_because is not None:
        return f"The program was {command.stopped_because}."
    return "It closed its output." if code is None else f"It ended with exit code {code}."
