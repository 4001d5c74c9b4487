"""Relays MCP between standard input and output and a gateway: `perdure mcp`.

Each message is a line of JSON (stdio) on one side and a POST (streamable HTTP) on the other; the
content is not changed. While the gateway restarts, requests wait for it.
"""

import asyncio
import base64
import contextlib
import json
import select
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, TextIO

import httpx2

from cli.connection.endpoint import Endpoint, UnreachableError

Json = dict[str, Any]
FindEndpoint = Callable[[], Endpoint]
Write = Callable[[Json], None]

RETRY_SECONDS = 0.5
GIVE_UP_SECONDS = 60.0
"""How long a request waits for a gateway that restarts (chosen: clients give up about then)."""

TIMEOUT = httpx2.Timeout(None, connect=5.0, read=45.0)
"""The gateway sends a comment every 15 s: after three missing ones the connection is dead."""

MOST_LINE_BYTES = 64 * 1024 * 1024
"""Of one message from the client: more than any gateway accepts (chosen)."""

ACCEPTED = 202
UNAVAILABLE = 503
FIRST_SERVER_ERROR = 500

INTERNAL_ERROR = -32603
INVALID_REQUEST = -32600
PARSE_ERROR = -32700

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CANCELLED = "notifications/cancelled"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
LISTEN = "subscriptions/listen"

NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The parameter that a client repeats in the header `Mcp-Name`, by method."""


class LostConnectionError(Exception):
    """The connection broke after a request that must not be repeated was sent."""


class InvalidMessageError(Exception):
    """A line of the client is no message; `answer` says so to the client."""

    def __init__(self, code: int, message: str, request_id: object = None) -> None:
        """The request has no id if it could not be read."""
        super().__init__(message)
        self.answer = _error(request_id, code, message)


class Relay:
    """The relay of one client."""

    def __init__(self, find_endpoint: FindEndpoint, write: Write, *, query: str = "") -> None:
        """`find_endpoint` is called for each attempt: a restarted stack may have a new address."""
        self._find_endpoint = find_endpoint
        self._write = write
        self._query = query
        self._http = httpx2.AsyncClient(timeout=TIMEOUT, trust_env=False)
        self._session: str | None = None
        self._version: str | None = None
        self._running: dict[str | int, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._subscriptions: set[asyncio.Task[None]] = set()

    async def finish(self, is_reader_gone: Callable[[], bool]) -> None:
        """Wait until all that was accepted is answered, or the client has closed its end.

        A subscription is not waited for: it has no last answer.
        """
        while (open_tasks := self._background - self._subscriptions) and not is_reader_gone():
            await asyncio.wait(open_tasks, timeout=RETRY_SECONDS)

    async def close(self) -> None:
        """End the requests in progress; executions that they started continue."""
        tasks = [*self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    def accept(self, line: str) -> None:
        """Take a line from the client; its answer is written when it arrives."""
        try:
            message = _read_message(line)
        except InvalidMessageError as error:
            self._write(error.answer)
            return
        if message.get("method") == CANCELLED and self._session is None:
            # In the newest revision, a client cancels over HTTP by closing the connection.
            cancelled = _params_of(message).get("requestId")
            if isinstance(cancelled, str | int) and (running := self._running.get(cancelled)):
                running.cancel()
            return
        task = asyncio.create_task(self._relay(message))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        if message.get("method") == LISTEN:
            self._subscriptions.add(task)
            task.add_done_callback(self._subscriptions.discard)
        if "method" in message and (request_id := message.get("id")) is not None:
            self._running[request_id] = task
            task.add_done_callback(lambda _: self._running.pop(request_id, None))

    def refuse_long_line(self) -> None:
        """Answer a line that has more than `MOST_LINE_BYTES`."""
        self._write(_error(None, PARSE_ERROR, f"The line has more than {MOST_LINE_BYTES} bytes."))

    async def _relay(self, message: Json) -> None:
        try:
            await self._deliver(message)
        except (LostConnectionError, UnreachableError) as error:
            if "method" in message and "id" in message:
                self._write(_error(message["id"], INTERNAL_ERROR, str(error)))

    async def _deliver(self, message: Json) -> None:
        """Send a message until the gateway answers it.

        Raises:
            UnreachableError: no gateway answered.
            LostConnectionError: the connection broke, and a repeated request could act twice.
        """
        deadline = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        has_answered = False
        while True:
            try:
                endpoint = self._find_endpoint()
                async for answer in self._post(endpoint, message):
                    is_repeated = has_answered and answer.get("method") == ACKNOWLEDGED
                    has_answered = True
                    deadline = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
                    if not is_repeated:
                        self._write(answer)
                    if "method" not in answer:
                        return
                if "method" not in message or "id" not in message:
                    return
                error: Exception = httpx2.ReadError("the connection was closed")
                was_sent = True
            except UnreachableError as refused:
                error, was_sent = refused, False
            except httpx2.TransportError as broken:
                error = broken
                was_sent = not isinstance(broken, httpx2.ConnectError | httpx2.ConnectTimeout)
            if was_sent and not _is_repeatable(message):
                raise LostConnectionError(
                    "The connection to Perdure broke during this call, which may have taken "
                    "effect. Check with list_tasks or get_execution before you repeat it."
                ) from error
            if asyncio.get_running_loop().time() > deadline:
                raise UnreachableError(f"Perdure does not answer: {error}") from error
            await asyncio.sleep(RETRY_SECONDS)

    async def _post(self, endpoint: Endpoint, message: Json) -> AsyncIterator[Json]:
        """The messages with which the gateway answers one POST."""
        url = f"{endpoint.api_url}/mcp{self._query}"
        headers = {**self._headers(message), "Authorization": f"Bearer {endpoint.token}"}
        content = json.dumps(message).encode("ascii")
        async with self._http.stream("POST", url, content=content, headers=headers) as response:
            if response.status_code == UNAVAILABLE:
                raise UnreachableError("The gateway is not ready.")
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
                return
            await response.aread()
        if response.status_code == ACCEPTED or not response.content:
            return
        answer = _read_json(response)
        if "jsonrpc" not in answer:  # a problem document of the gateway
            answer = _error(message.get("id"), INTERNAL_ERROR, _describe(answer))
        if "error" in answer and answer.get("id") is None:  # the gateway could not read the request
            answer["id"] = message.get("id")
        if message.get("method") == "initialize" and "result" in answer:
            self._session = response.headers.get("mcp-session-id")
            self._version = answer["result"].get("protocolVersion")
        yield answer

    def _headers(self, message: Json) -> Mapping[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "User-Agent": "perdure-mcp",
        }
        params = _params_of(message)
        meta = params.get("_meta")
        version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
        if version is None:
            if self._version is not None:
                headers["MCP-Protocol-Version"] = self._version
            if self._session is not None:
                headers["Mcp-Session-Id"] = self._session
            return headers
        headers["MCP-Protocol-Version"] = str(version)
        headers["Mcp-Method"] = _encode(message["method"])
        name = params.get(NAMED_BY.get(message["method"], ""))
        if isinstance(name, str):
            headers["Mcp-Name"] = _encode(name)
        return headers


def _read_message(line: str) -> Json:
    """A JSON-RPC message, as far as the relay reads it; the gateway checks the rest.

    Raises:
        InvalidMessageError: the line is none.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidMessageError(PARSE_ERROR, "The line is not valid JSON.") from error
    if isinstance(message, list):
        refusal = "Batches are not supported; send each message in a line of its own."
        raise InvalidMessageError(INVALID_REQUEST, refusal)
    if not isinstance(message, dict):
        raise InvalidMessageError(INVALID_REQUEST, "The line must be one JSON object.")
    request_id = message.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | None):
        raise InvalidMessageError(INVALID_REQUEST, "The id must be a string or an integer.")
    if not isinstance(message.get("method", ""), str):
        raise InvalidMessageError(INVALID_REQUEST, "The method must be a string.", request_id)
    if not isinstance(message.get("params"), dict | None):
        raise InvalidMessageError(INVALID_REQUEST, "The params must be an object.", request_id)
    return message


def _params_of(message: Json) -> Json:
    return message.get("params") or {}


def _is_repeatable(message: Json) -> bool:
    """Whether the same request a second time has no other effect."""
    if message.get("method") != "tools/call":
        return True
    arguments = _params_of(message).get("arguments")
    return isinstance(arguments, dict) and "idempotency_key" in arguments


def _encode(value: str) -> str:
    """A value as a header of MCP: as it is, or in base64 if a header can't contain it."""
    is_plain = value.isascii() and value.isprintable() and value == value.strip()
    if is_plain and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode('ascii')}?="


def _read_json(response: httpx2.Response) -> Json:
    """The body; a problem document in its place if another server has answered.

    Raises:
        ReadError: a proxy has lost the gateway, which may have taken the request.
    """
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(answer := response.json(), dict):
            return answer
    url, status = response.request.url, response.status_code
    problem = f"{url} did not answer as Perdure does (HTTP status {status})."
    if status >= FIRST_SERVER_ERROR:
        raise httpx2.ReadError(problem)
    return {"detail": problem}


def _describe(problem: Json) -> str:
    errors = [str(error.get("msg")) for error in problem.get("errors") or ()]
    return " ".join([str(problem.get("detail") or "The gateway refused the request."), *errors])


def _error(request_id: object, code: int, message: str) -> Json:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


async def relay_stdio(find_endpoint: FindEndpoint, *, query: str = "") -> None:
    """Relay until the client closes standard input, and then answer what it has asked."""
    output = sys.stdout

    def write(message: Json) -> None:
        _write_line(output, message)

    relay = Relay(find_endpoint, write, query=query)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MOST_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        async for line in read_lines(reader):
            if line is None:
                relay.refuse_long_line()
            elif text := line.decode(errors="replace").strip():
                relay.accept(text)
        await relay.finish(partial(_is_reader_gone, output))
    finally:
        with contextlib.suppress(BrokenPipeError):
            await relay.close()


async def read_lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes | None]:
    """The lines of the client; None for one that is longer than the limit of the reader."""
    is_cut = False
    while True:
        try:
            line = await reader.readuntil()
        except asyncio.LimitOverrunError as error:
            await reader.readexactly(error.consumed)
            is_cut = True
            continue
        except asyncio.IncompleteReadError as end:
            yield None if is_cut else end.partial
            return
        yield None if is_cut else line
        is_cut = False


def _is_reader_gone(output: TextIO) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(output, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _write_line(output: TextIO, message: Json) -> None:
    output.write(json.dumps(message, separators=(",", ":")) + "\n")
    output.flush()
