"""The client of the gateway: its operations by their ids, and an execution's event stream."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx2

from cli.connection.endpoint import Endpoint, UnreachableError
from cli.connection.operations import load_operations
from cli.exits import CommandError, Exit

# Executing a task may wait for the database; people give up later than this (chosen).
REQUEST_SECONDS, CONNECT_SECONDS = 30.0, 5.0
# The gateway sends a comment every 15 s: after three missing ones the stream is dead.
STREAM_TIMEOUT = httpx2.Timeout(45.0, connect=5.0)
# A gateway restarts within seconds; after two minutes an operator should know (chosen).
GIVE_UP_SECONDS = 120.0
RECONNECT_SECONDS = 0.5
# As above, for a person who waits at the terminal (chosen).
START_SECONDS = 30.0
NOT_FOUND = 404
SERVER_ERROR = 500
PAGE_SIZE = 100

LAST_EVENTS = frozenset({"execution.completed", "execution.failed", "execution.cancelled"})

Json = dict[str, Any]


class RefusedError(CommandError):
    """The gateway refused the request (RFC 9457)."""

    exit = Exit.USAGE

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        """`problem` is the body of the response."""
        self.problem = problem
        self.status = status
        detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        errors = problem.get("errors", ())
        lines = [detail.replace("; see errors.", ":") if errors else detail]
        lines += [f"  {_format_location(error['loc'])}{error['msg']}" for error in errors]
        super().__init__("\n".join(lines))


class NoGatewayError(CommandError):
    """Something else than a gateway answers at the address."""

    exit = Exit.UNREACHABLE


LIVE_ONLY = frozenset({"delta", "progress"})
"""Types of events that are not recorded, and may be lost."""


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One event of an execution; those in `LIVE_ONLY` have no `seq`."""

    type: str
    data: Json
    seq: int | None = None


class Client:
    """Calls the operations of one gateway as one user.

    Parameters have their names in the OpenAPI document; those that are None are left out.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Opens connections when they are needed."""
        self.endpoint = endpoint
        self._operations = load_operations()
        url = httpx2.URL(endpoint.api_url)
        is_local = url.host in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx2.Client(
            base_url=endpoint.api_url,
            trust_env=not is_local,  # a proxy does not reach this machine's own addresses
            verify=_verification(uses_tls=not is_local or url.scheme == "https"),
            headers={
                "Authorization": f"Bearer {endpoint.token}",
                "User-Agent": "perdure-cli",
                "Perdure-Client": "cli",  # becomes the trigger type of what it starts
            },
        )

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, operation: str, body: Mapping[str, Any] | None = None, **given: Any) -> Any:
        """The JSON that an operation answers, None for an empty response.

        Raises:
            RefusedError: the gateway refuses it.
            UnreachableError: the gateway does not answer.
        """
        return self._read_json(self._send(operation, given, body))

    def iterate(
        self, operation: str, *, with_retries: bool = False, **given: Any
    ) -> Iterator[Json]:
        """Every item of a list operation, fetched page by page."""
        call = self.call_with_retries if with_retries else self.call
        cursor = None
        while True:
            page = call(operation, **{"page_size": PAGE_SIZE, **given}, cursor=cursor)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def call_with_retries(self, operation: str, **given: Any) -> Any:
        """As `call`, but wait for a gateway that restarts."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return self.call(operation, **given)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(RECONNECT_SECONDS)

    def start(
        self,
        operation: str,
        body: Mapping[str, Any] | None = None,
        *,
        before_retry: Callable[[], object] = lambda: None,
        **given: Any,
    ) -> Any:
        """As `call`, for an operation that starts something: once, even if connections break.

        Raises:
            UnreachableError: no gateway answered at first, or it did not come back.
        """
        key = {"Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + START_SECONDS
        was_sent = False
        while True:
            try:
                return self._read_json(self._send(operation, given, body, key))
            except UnreachableError as error:
                was_sent |= error.was_sent
                if not was_sent or time.monotonic() > deadline:
                    raise
            except RefusedError as refusal:
                is_in_progress = refusal.problem.get("code") == "idempotency_in_progress"
                if not is_in_progress or time.monotonic() > deadline:
                    raise
            time.sleep(RECONNECT_SECONDS)
            before_retry()

    def read_content(self, operation: str, **given: Any) -> bytes:
        """The bytes that an operation answers."""
        return self._send(operation, given).content

    def download(self, operation: str, target: Path, **given: Any) -> None:
        """Write the bytes that an operation answers to `target`, all of them or none."""
        part = target.with_name(f"{target.name}.part")
        method, url, query = self._prepare(operation, given)
        try:
            with self._http.stream(method, url, params=query) as response, part.open("wb") as file:
                if not response.is_success:
                    response.read()
                    raise _read_refusal(response)
                for chunk in response.iter_bytes():
                    file.write(chunk)
            part.replace(target)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            part.unlink(missing_ok=True)

    def stream_events(self, execution_id: str) -> Iterator[StreamedEvent]:
        """An execution's events from the first to the last, across lost connections.

        Raises:
            UnreachableError: the gateway does not answer, or did not come back.
            RefusedError: the execution does not exist, or belongs to another user.
        """
        after, last_type = 0, ""
        received_at: float | None = None  # None: never connected, so there is nothing to resume
        # An operator's reset continues after a terminal event, which is the last one only where
        # the stream ends.
        while last_type not in LAST_EVENTS:
            try:
                for event in self._stream_once(execution_id, after):
                    received_at = time.monotonic()
                    if event.seq is not None:
                        after, last_type = event.seq, event.type
                    yield event
            except httpx2.TransportError as error:
                if received_at is None or time.monotonic() - received_at > GIVE_UP_SECONDS:
                    raise self._unreachable(error) from error
                time.sleep(RECONNECT_SECONDS)

    def _stream_once(self, execution_id: str, after: int) -> Iterator[StreamedEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        method, url, _ = self._prepare("list_events", {"execution_id": execution_id})
        with self._http.stream(method, url, headers=headers, timeout=STREAM_TIMEOUT) as response:
            if response.status_code >= SERVER_ERROR:
                raise httpx2.RemoteProtocolError(f"HTTP {response.status_code}")
            if not response.is_success:
                response.read()
                raise _read_refusal(response)
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise self._no_gateway(response)
            for sent in httpx2.EventSource(response):
                body = json.loads(sent.data)
                if sent.event in LIVE_ONLY:
                    yield StreamedEvent(sent.event, body)
                else:
                    yield StreamedEvent(body["type"], body["data"], body["seq"])

    def _send(
        self,
        operation: str,
        given: Mapping[str, object],
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        method, url, query = self._prepare(operation, given)
        content = (body or {}) if self._operations[operation].has_body else None
        seconds = REQUEST_SECONDS + float(query.get("wait", 0))  # the gateway waits, too
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            response = self._http.request(
                method, url, params=query, json=content, headers=headers, timeout=timeout
            )
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code >= SERVER_ERROR:
            raise UnreachableError(
                f"{self.endpoint.api_url} can't serve now: {_read_refusal(response)} "
                f"(HTTP {response.status_code})",
                was_sent=True,
            )
        if not response.is_success:
            refusal = _read_refusal(response)
            raise refusal if "code" in refusal.problem else self._no_gateway(response)
        return response

    def _prepare(
        self, operation: str, given: Mapping[str, object]
    ) -> tuple[str, str, dict[str, str]]:
        """The method, the URL and the query of a call; unknown parameters are a mistake of ours."""
        method, path, names, _ = self._operations[operation]
        values = {name: _encode(value) for name, value in given.items() if value is not None}
        query = {name: values.pop(name) for name in names if name in values}
        url = path.format(**{name: quote(value, safe="") for name, value in values.items()})
        if unknown := [name for name in values if f"{{{name}}}" not in path]:
            raise TypeError(f"{operation} has no parameter {', '.join(unknown)}")
        return method, url, query

    def _read_json(self, response: httpx2.Response) -> Any:
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise self._no_gateway(response) from error

    def _no_gateway(self, response: httpx2.Response) -> NoGatewayError:
        kind = response.headers.get("Content-Type", "an unknown type")
        return NoGatewayError(
            f"{self.endpoint.api_url} answered with {kind}, as no gateway does: another server or "
            "a proxy is there. Set PERDURE_API_URL to the address of a gateway."
        )

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"{self.endpoint.api_url} does not answer ({error}). Is it running? Start one with "
            "`perdure up`, or set PERDURE_API_URL.",
            was_sent=not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout),
        )


def _verification(*, uses_tls: bool) -> ssl.SSLContext | bool:
    """Trust the authorities of the system, or none where no connection uses TLS.

    Reading them takes 20 ms, a tenth of a short command (measured 2026-11-29).
    """
    return True if uses_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _encode(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_refusal(response: httpx2.Response) -> RefusedError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    return RefusedError(problem if isinstance(problem, dict) else {}, response.status_code)


def _format_location(loc: Sequence[Any]) -> str:
    """The field of a problem and a colon; nothing for a problem of the whole body.

    Without `body` or `query`, which mean nothing on a command line.
    """
    parts = loc[1:] if loc and loc[0] in {"body", "path", "query"} else loc
    return f"{'.'.join(map(str, parts))}: " if parts else ""
