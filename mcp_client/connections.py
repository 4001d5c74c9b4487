"""One connection to an MCP server: opened, negotiated, used by one caller at a time, closed.

A background task holds the connection, because the SDK's contexts end in the task in which they
began, while the calls come from the tasks of executions.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

import mcp_types as types
from mcp import MCPError
from mcp.client import Client
from mcp.shared.dispatcher import ProgressFnT
from pydantic import BaseModel, TypeAdapter, ValidationError

from domain.errors import McpServerError
from domain.mcp.tools import RemoteTool
from domain.text import clean, harmless
from mcp_client.listing import list_all
from mcp_client.tasks import CALL_RESULT, CallResult, TaskParams, TaskRequest, Tasks, TaskState

CLIENT_INFO = types.Implementation(name="perdure", version="1")

OPEN_SECONDS = 30.0
"""To connect and negotiate. Programs that start slowly take several seconds (chosen)."""

LIST_SECONDS = 30.0
"""For all pages of the list of tools (chosen)."""

LIST_VALID_SECONDS = 60.0
"""A list that is younger is not read again, unless the server says that it changed (chosen)."""

TASK_SECONDS = 20.0
"""For a request about a task, which only reads or notes something (chosen)."""

LINKS_SECONDS = 15.0
MAX_LINKS = 8
"""Resources to which a result links, and which are read: in all, and how many (chosen)."""

MAX_ERROR_CHARACTERS = 1000
"""Of a text in which a server describes an error (chosen)."""

_CLOSE_SECONDS = 3.0
"""To close in order; then it is closed at once (chosen)."""

_CAUSE_SECONDS = 0.5
"""Between the end of a connection and that of the task which holds it (chosen)."""

_PLACEHOLDERS = frozenset({"Server returned an error response", "Not Found", "Session terminated"})
"""What the SDK says of HTTP errors, whose status the transport knows."""

ResultT = TypeVar("ResultT", bound=BaseModel)

OnProgress = ProgressFnT
"""Receives progress, total and message."""


class Transport(Protocol):
    """The streams to a server, and what is known when they fail."""

    def streams(self) -> AbstractAsyncContextManager[Any]:
        """Open the streams of messages; entered once."""

    async def end_session(self) -> None:
        """End the session in order, before the streams are closed."""

    @property
    def is_expired(self) -> bool:
        """Whether the server has forgotten the session, so that it did not take the request."""

    @property
    def is_refused(self) -> bool:
        """Whether the server refused the last request, so that a retry has the same result."""

    def failure(self, error: BaseException | None) -> str | None:
        """Why the server can't be used, as a sentence, or None if that is not known."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """How a server describes itself."""

    protocol_version: str
    info: Mapping[str, str]
    capabilities: Sequence[str]


class Connection:
    """A negotiated connection. `open_connection` makes one."""

    def __init__(self, transport: Transport, label: str, *, is_resumable: bool) -> None:
        """`label` names the server in errors.

        `is_resumable`: another connection can continue a call, so the server may answer with a
        task, or ask for input.
        """
        self._transport = transport
        self._label = label
        self._is_resumable = is_resumable
        self._closing = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._tools: Sequence[RemoteTool] | None = None
        self._listed_at = 0.0
        self._broken: BaseException | None = None
        self._task = asyncio.create_task(self._hold())

    # --- opening and closing ------------------------------------------------------------------

    async def _hold(self) -> None:
        """Keep the connection open until it is closed or breaks."""
        client = Client(
            _Streams(self._transport),
            client_info=CLIENT_INFO,
            message_handler=self._on_message,
            elicitation_callback=_dismiss if self._is_resumable else None,
            extensions=[Tasks()] if self._is_resumable else None,
            cache=None,
        )
        try:
            async with client:
                self._ready.set_result(client)
                await self._closing.wait()
                await self._transport.end_session()
        except Exception as error:  # noqa: BLE001 - the callers report it
            if not self._ready.done():
                self._ready.set_exception(error)
                self._ready.exception()  # a caller that was cancelled does not read it
            self._broken = error

    async def wait_until_open(self, seconds: float) -> None:
        """Wait for the negotiation.

        Raises:
            McpServerError: the server can't be reached, or does not speak the protocol.
        """
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._ready)
        except TimeoutError:
            await self.abandon()
            raise self._error(None, f"It did not answer within {seconds:g} s.") from None
        except asyncio.CancelledError:
            await self.abandon()
            raise
        except Exception as error:
            raise self._error(error) from error

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return not (self._task.done() or self._closing.is_set())

    @property
    def is_expired(self) -> bool:
        """Whether the server refused a call because it has forgotten the session."""
        return self._transport.is_expired

    async def close(self) -> None:
        """Close in order; cut the connection if that takes too long."""
        self._closing.set()
        await asyncio.wait([self._task], timeout=_CLOSE_SECONDS)
        await self.abandon()

    def cut(self) -> None:
        """Cut the connection without waiting."""
        self._closing.set()
        self._task.cancel()

    async def abandon(self) -> None:
        """Cut the connection, and wait until nothing of it is left."""
        self.cut()
        await asyncio.wait([self._task])

    # --- use ----------------------------------------------------------------------------------

    @property
    def facts(self) -> ServerFacts:
        """How the server describes itself."""
        client = self._ready.result()
        info = client.server_info
        named = {} if info is None else info.model_dump(include={"name", "title", "version"})
        offered = client.server_capabilities.model_dump(exclude_none=True)
        return ServerFacts(
            protocol_version=client.protocol_version,
            info={key: str(value) for key, value in named.items() if value is not None},
            capabilities=sorted(offered),
        )

    async def list_tools(self) -> Sequence[RemoteTool]:
        """Return the server's tools in its order; a list from the last minute is still valid.

        Raises:
            McpServerError: the list can't be read.
        """
        is_valid = time.monotonic() - self._listed_at < LIST_VALID_SECONDS
        if self._tools is None or not is_valid:
            self._listed_at = time.monotonic()
            self._tools = None
            try:
                async with asyncio.timeout(LIST_SECONDS):
                    tools = await list_all(self._ready.result())
            except TimeoutError:
                sentence = f"It did not list its tools within {LIST_SECONDS:g} s."
                raise self._error(None, sentence) from None
            except (MCPError, ValidationError, ValueError) as error:
                await self._wait_for_cause(error)
                raise self._error(error) from error
            self._tools = tools
        return self._tools

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float,
        on_progress: OnProgress | None = None,
        request_state: str | None = None,
        responses: Mapping[str, Any] | None = None,
    ) -> CallResult:
        """Call a tool. Cancelling ends the request; the connection is then abandoned.

        `request_state` and `responses` continue a call for which the server asked for input.

        Raises:
            McpServerError: there is no result; whether the call took effect is not known.
        """
        params = types.CallToolRequestParams.model_validate(
            {
                "name": name,
                "arguments": dict(arguments),
                "requestState": request_state,
                "inputResponses": responses and dict(responses),
            }
        )
        # `Client.call_tool` would match the result with the server's schema in this process.
        request = types.CallToolRequest(params=params)
        return await self._send(request, CALL_RESULT, seconds, on_progress)

    async def task(
        self,
        verb: Literal["get", "update", "cancel"],
        task_id: str,
        responses: Mapping[str, Any] | None = None,
    ) -> TaskState:
        """Read a task, send responses to its requests for input, or ask to cancel it.

        Raises:
            McpServerError: the server can't be reached, or there is no such task.
        """
        params = TaskParams(task_id=task_id, input_responses=responses and dict(responses))
        request = TaskRequest(method=f"tasks/{verb}", params=params)
        return await self._send(request, TypeAdapter(TaskState), TASK_SECONDS)

    async def _send(
        self,
        request: types.Request[Any, Any],
        result: TypeAdapter[ResultT],
        seconds: float,
        on_progress: OnProgress | None = None,
    ) -> ResultT:
        try:
            return await self._ready.result().session.send_request(
                request,
                result,
                request_read_timeout_seconds=seconds,
                progress_callback=on_progress,
            )
        except (MCPError, ValidationError) as error:
            if isinstance(error, MCPError) and error.code == types.REQUEST_TIMEOUT:
                raise self._error(None, f"It did not answer within {seconds:g} s.") from error
            await self._wait_for_cause(error)
            raise self._error(error) from error

    async def read_linked(self, uris: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Return the contents of resources, without those that can't be read in time."""
        found: dict[str, Sequence[Any]] = {}
        client = self._ready.result()
        if client.server_capabilities.resources is None:
            return found
        # The SDK raises RuntimeError if the server asks for input instead.
        with contextlib.suppress(TimeoutError, MCPError, ValidationError, ValueError, RuntimeError):
            async with asyncio.timeout(LINKS_SECONDS):
                for uri in uris[:MAX_LINKS]:
                    found[uri] = (await client.session.read_resource(uri)).contents
        return found

    async def _on_message(self, message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._tools = None

    # --- failures -----------------------------------------------------------------------------

    async def _wait_for_cause(self, error: Exception) -> None:
        """Wait until the task has ended whose failure closed the connection."""
        if isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED:
            await asyncio.wait([self._task], timeout=_CAUSE_SECONDS)

    def _error(self, error: BaseException | None, sentence: str | None = None) -> McpServerError:
        """Make the error that callers report, with the best known reason."""
        cause = self._broken or error
        known = self._transport.failure(cause)
        if sentence is None:
            sentence = _refusal(error) or known or _describe(cause)
        elif known is not None:
            sentence = f"{sentence} {known}"
        is_final = self._transport.is_refused or isinstance(cause, ValidationError | ValueError)
        return McpServerError(clean(f"MCP server {self._label!r}: {sentence}"), is_final=is_final)


class _Streams:
    """The SDK's transport: a context with the two streams."""

    def __init__(self, transport: Transport) -> None:
        self._context = transport.streams()

    async def __aenter__(self) -> Any:
        return await self._context.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)


async def open_connection(
    transport: Transport, label: str, *, is_resumable: bool = False, seconds: float = OPEN_SECONDS
) -> Connection:
    """Connect and negotiate the revision of the protocol.

    Raises:
        McpServerError: the server can't be reached, or does not speak the protocol.
    """
    connection = Connection(transport, label, is_resumable=is_resumable)
    await connection.wait_until_open(seconds)
    return connection


async def _dismiss(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
    """Dismiss a question that an older server asks during a call: a person takes too long."""
    del context, params
    return types.ElicitResult(action="cancel")


def _refusal(error: BaseException | None) -> str | None:
    """The error that the server itself returned, or None."""
    if not isinstance(error, MCPError) or error.code == types.CONNECTION_CLOSED:
        return None
    if error.message in _PLACEHOLDERS:
        return None
    return f"It returned an error: {harmless(error.message)[:MAX_ERROR_CHARACTERS]}"


def _describe(error: BaseException | None) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _describe(error.exceptions[0])
    if isinstance(error, MCPError):
        return _refusal(error) or "The connection was closed."
    return "Its answer does not follow the protocol; check its address."
