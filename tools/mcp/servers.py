"""Lists and calls tools of MCP servers for one attempt."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import mcp_types as types
from mcp import MCPError

from domain.errors import McpServerError, PerdureError
from domain.mcp.remote_waits import RemoteState, RemoteWait, is_task
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import PinnedTool, RemoteCall, RemoteScope, ServerTools
from domain.text import harmless
from domain.tools.calls import (
    OnProgress,
    OnStarted,
    ProcessIdentity,
    ToolEffect,
    ToolOutcome,
    ToolProgress,
)
from mcp_client.connections import Connection, open_connection
from mcp_client.pool import HttpPool
from mcp_client.tasks import CallResult, TaskState
from tools.mcp.continuing import ask_next, count_failure, read_answer
from tools.mcp.failures import UnusableAnswerError
from tools.mcp.results import links_of, outcome_of
from tools.mcp.settings import McpSettings
from tools.mcp.stdio import StdioServer
from tools.output import printable

CALL_SECONDS = 600.0
"""The longest call, as for commands: it has to end within a segment (chosen)."""

CANCEL_SECONDS = 2.0
"""To cancel a task of the server, while a person waits for the execution's end (chosen)."""

LIST_DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Before each retry at the start of an execution: a server that restarts is back within half a
minute (chosen)."""

NOT_SENT = "Nothing was sent to the server."
MAY_HAVE_HAPPENED = (
    "The call was sent, so it may have taken effect. Check that before you call the tool again."
)


@dataclass(frozen=True, slots=True)
class _Used:
    """A connection, and the process group of a server that is a program."""

    connection: Connection
    process: ProcessIdentity | None = None
    program: StdioServer | None = None

    async def with_connections(self, outcome: ToolOutcome) -> ToolOutcome:
        """The outcome of a call, with what a program has connected to since the last one."""
        if self.program is None or outcome.wait is not None:
            return outcome
        return replace(outcome, connections=await self.program.take_connections())


class AttemptConnections:
    """The connections of one attempt. Programs run for this attempt only."""

    def __init__(self, settings: McpSettings, pool: HttpPool) -> None:
        """`pool` has the connections over HTTP."""
        self._settings = settings
        self._toolbox = settings.toolbox
        self._pool = pool
        self._programs: dict[str, _Used] = {}
        self._starting: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        """End all programs."""
        used = [program.connection for program in self._programs.values()]
        self._programs.clear()
        for connection in used:
            connection.cut()
        await asyncio.gather(*(connection.abandon() for connection in used))

    # --- listing ------------------------------------------------------------------------------

    async def list_tools(self, scope: RemoteScope) -> Sequence[ServerTools]:
        """Return the tools of all servers of the execution, in the order of its definition."""
        listings = [
            asyncio.ensure_future(self._list_patiently(scope, key)) for key in scope.servers
        ]
        try:
            return await asyncio.gather(*listings)
        finally:
            for listing in listings:
                listing.cancel()
            await asyncio.gather(*listings, return_exceptions=True)

    async def _list_patiently(self, scope: RemoteScope, key: str) -> ServerTools:
        for delay in LIST_DELAYS:
            try:
                return await self._list(scope, key)
            except McpServerError as error:
                if error.is_final:
                    raise
            await asyncio.sleep(delay)
        return await self._list(scope, key)

    async def _list(self, scope: RemoteScope, key: str) -> ServerTools:
        server = await self._settings.resolve(scope, key, None)
        async with self._using(scope, server) as used:
            tools = await used.connection.list_tools()
        return ServerTools(key, tools, server_id=server.server_id, is_trusted=server.is_trusted)

    # --- calling ------------------------------------------------------------------------------

    async def run(
        self, call: RemoteCall, *, on_started: OnStarted, on_progress: OnProgress
    ) -> ToolOutcome:
        """Run one call. A failure of the server is an error outcome."""
        sent = _Announcement(on_started, on_progress, call.tool)
        try:
            server = await self._settings.resolve(call.scope, call.tool.server, call.tool.server_id)
            return await self._exchange(call, server, sent)
        except _ChangedError as changed:
            return ToolOutcome(changed.sentence, is_error=True, is_changed=True)
        except PerdureError as error:
            if sent.has_failed:
                raise
            if is_task(call.state) and not _is_final(error):
                return _poll_later(call.state or {}, error)
            advice = MAY_HAVE_HAPPENED if sent.is_sent or call.state else NOT_SENT
            return ToolOutcome(printable(f"{error.detail} {advice}"), is_error=True)

    async def cancel(self, call: RemoteCall) -> None:
        """Ask the server to cancel the task of a call, if it has one. Failures are ignored."""
        if not is_task(call.state):
            return
        with contextlib.suppress(PerdureError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                server = await self._settings.resolve(
                    call.scope, call.tool.server, call.tool.server_id
                )
                async with self._using(call.scope, server) as used:
                    await _cancel_task(used, call)

    async def _exchange(
        self, call: RemoteCall, server: ResolvedServer, sent: "_Announcement"
    ) -> ToolOutcome:
        """Make or continue the call; once more if the server has only forgotten the session."""
        if call.state is not None and (wait := ask_next(call.state)) is not None:
            return ToolOutcome("", wait=wait)
        connection: Connection | None = None
        try:
            async with self._using(call.scope, server) as used:
                connection = used.connection
                return await self._exchange_with(used, call, sent)
        except McpServerError:
            if connection is None or not connection.is_expired:
                raise
        async with self._using(call.scope, server, fresh=True) as used:
            return await self._exchange_with(used, call, sent)

    async def _exchange_with(
        self, used: _Used, call: RemoteCall, sent: "_Announcement"
    ) -> ToolOutcome:
        try:
            return await used.with_connections(await self._exchange_over(used, call, sent))
        finally:
            if used.program is not None:
                scope = call.scope
                self._toolbox.note_change(scope.session_id, scope.working_directory)

    async def _exchange_over(
        self, used: _Used, call: RemoteCall, sent: "_Announcement"
    ) -> ToolOutcome:
        try:
            answer = read_answer(call.state, await self._ask(used, call, sent))
        except UnusableAnswerError as error:
            with contextlib.suppress(McpServerError):
                await _cancel_task(used, call)
            return ToolOutcome(printable(str(error)), is_error=True)
        if isinstance(answer, RemoteWait):
            return ToolOutcome("", wait=answer)
        links = links_of(answer)
        linked = await used.connection.read_linked(links) if links else {}
        private = self._toolbox.workspaces.private
        return await asyncio.to_thread(outcome_of, answer, linked, private, self._toolbox.limits)

    async def _ask(
        self, used: _Used, call: RemoteCall, sent: "_Announcement"
    ) -> CallResult | TaskState:
        """Poll the task of the call, or call the tool."""
        state = call.state or {}
        if is_task(state):
            if state.get("responses"):
                await used.connection.task("update", state["task"], state["responses"])
            task = await used.connection.task("get", state["task"])
            if task.status_message:
                sent.on_progress(ToolProgress(message=harmless(task.status_message)))
            return task
        await _require_unchanged(used.connection, call.tool)
        await sent.announce(used.process)
        return await used.connection.call_tool(
            call.tool.remote_name,
            call.input,
            seconds=CALL_SECONDS,
            on_progress=sent.note_progress,
            request_state=state.get("request_state"),
            responses=state.get("responses"),
        )

    # --- connections --------------------------------------------------------------------------

    @asynccontextmanager
    async def _using(
        self, scope: RemoteScope, server: ResolvedServer, *, fresh: bool = False
    ) -> AsyncIterator[_Used]:
        if server.url is not None:
            async with self._pool.lease(scope.user_id, server, fresh=fresh) as connection:
                yield _Used(connection)
            return
        async with self._starting.setdefault(server.key, asyncio.Lock()):
            used = self._programs.get(server.key)
            if used is not None and used.program is not None and used.program.has_ended:
                await used.connection.abandon()
            if used is None or not used.connection.is_open:
                used = self._programs[server.key] = await self._start(scope, server)
        yield used

    async def _start(self, scope: RemoteScope, server: ResolvedServer) -> _Used:
        site = await self._toolbox.site_of(scope)
        program = StdioServer(
            self._toolbox.shell,
            site,
            server,
            scope=scope,
            programs=self._settings.programs,
        )
        connection = await open_connection(program, server.key)
        return _Used(connection, program.identity, program)


async def _cancel_task(used: _Used, call: RemoteCall) -> None:
    if call.state is not None and is_task(call.state):
        await used.connection.task("cancel", call.state["task"])


def _is_final(error: PerdureError) -> bool:
    """Whether the server answered, so that polling again has the same result."""
    cause = error.__cause__
    is_refused = isinstance(cause, MCPError) and cause.code == types.INVALID_PARAMS
    return is_refused or not isinstance(error, McpServerError) or error.is_final


def _poll_later(state: RemoteState, error: PerdureError) -> ToolOutcome:
    wait = count_failure(state)
    if wait is not None:
        return ToolOutcome("", wait=wait)
    sentence = f"{error.detail} The task {state['task']} of the server may still run."
    return ToolOutcome(printable(sentence), is_error=True)


class _ChangedError(Exception):
    """The tool is not the one that the model knows."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


async def _require_unchanged(connection: Connection, tool: PinnedTool) -> None:
    listed = {found.name: found for found in await connection.list_tools()}
    found = listed.get(tool.remote_name)
    if found is None:
        raise _ChangedError(
            f"The server {tool.server!r} no longer has this tool. {NOT_SENT} Do without it."
        )
    if found.sha256 != tool.sha256:
        raise _ChangedError(
            f"The server {tool.server!r} has changed this tool since the execution started: its "
            f"description, schema or hints are others. {NOT_SENT} Do without it; a new execution "
            "uses the changed tool."
        )


class _Announcement:
    """Announces a call once, before it is sent, and then its progress."""

    def __init__(self, on_started: OnStarted, on_progress: OnProgress, tool: PinnedTool) -> None:
        self._on_started = on_started
        self.on_progress = on_progress
        self._is_read_only = tool.effect is ToolEffect.READ_ONLY
        self.is_sent = False
        self.has_failed = False

    async def announce(self, process: ProcessIdentity | None) -> None:
        """Record the start, unless the call has no effect or this is a repetition."""
        if not (self.is_sent or self._is_read_only):
            self.has_failed = True
            await self._on_started(process)
            self.has_failed = False
        self.is_sent = True

    async def note_progress(
        self, progress: float, total: float | None, message: str | None
    ) -> None:
        """Pass on a notification of the server."""
        self.on_progress(ToolProgress(progress, total, message and harmless(message)))
