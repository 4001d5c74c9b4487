"""The command line's side of the gateway: where it is, what it answers, how a run goes on."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx2

from cli.exits import CommandError, Exit
from cli.stack.home import Home
from runtime.settings import Settings

API = "/api/v1"

# Execute may wait for the database; a person at the terminal gives up later than this (chosen).
REQUEST_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
# A comment comes every 15 s (contract.md, section 7): three missed ones mean the stream is dead.
STREAM_TIMEOUT = httpx2.Timeout(45.0, connect=5.0)
# A gateway that restarts is back within seconds; after two minutes somebody should know (chosen).
GIVE_UP_SECONDS = 120.0
RECONNECT_SECONDS = 0.5
# As above, with a person who has just pressed return (chosen).
START_SECONDS = 30.0
SERVER_ERROR = 500

LAST_EVENTS = frozenset({"execution.completed", "execution.failed", "execution.cancelled"})

Json = dict[str, Any]


class UnreachableError(CommandError):
    """No gateway answers; the message says what to do."""

    exit = Exit.UNREACHABLE

    def __init__(self, message: str, *, was_sent: bool = False) -> None:
        """`was_sent`: the request may have reached the gateway, and may have done its work."""
        self.was_sent = was_sent
        super().__init__(message)


class RefusedError(CommandError):
    """The gateway understood and said no (RFC 9457)."""

    exit = Exit.USAGE

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        """`problem` is the body it sent."""
        self.problem = problem
        self.status = status
        detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        errors = problem.get("errors", ())
        lines = [detail.replace("; see errors.", ":") if errors else detail]
        lines += [f"  {_place(error['loc'])}: {error['msg']}" for error in errors]
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an execution; a `delta` has no `seq`."""

    type: str
    data: Json
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway is and what opens it."""

    api_url: str
    token: str


def find_place(settings: Settings) -> Place:
    """What the settings say, else what runs on the home.

    Raises:
        UnreachableError: neither says anything.
    """
    facts = None
    if settings.api_url is None or settings.token is None:
        facts = Home(settings.home.absolute()).read_ready()
    url = settings.api_url or (facts and facts["api_url"])
    token = settings.token.get_secret_value() if settings.token else facts and facts["token"]
    if not url or not token:
        raise UnreachableError(
            f"No Perdure runs on {settings.home.absolute()}. Start one with `perdure up`, or set "
            "PERDURE_API_URL and PERDURE_TOKEN to use one elsewhere."
        )
    return Place(url.rstrip("/"), token)


class Gateway:
    """Requests to one gateway as one user."""

    def __init__(self, place: Place) -> None:
        """Opens connections when they are needed."""
        self.place = place
        on_this_machine = httpx2.URL(place.api_url).host in {"127.0.0.1", "localhost", "::1"}
        self._http = httpx2.Client(
            base_url=place.api_url,
            trust_env=not on_this_machine,  # a proxy of the environment leads elsewhere
            headers={
                "Authorization": f"Bearer {place.token}",
                "User-Agent": "perdure-cli",
                "Perdure-Client": "cli",  # what it starts was triggered by it
            },
            timeout=REQUEST_TIMEOUT,
        )

    def __enter__(self) -> Self:
        """The gateway itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, /, **query: object) -> Any:
        """A resource; query parameters that are None are left out."""
        return self._request("GET", path, params=_given(query))

    def items(self, path: str, /, **query: object) -> Iterator[Json]:
        """Everything a list holds, page by page."""
        cursor = None
        while True:
            page = self.get(path, **{"page_size": 100, **query}, cursor=cursor)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def get_patiently(self, path: str, **query: object) -> Any:
        """As `get`, over a restart of the gateway: for who follows an execution."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return self.get(path, **query)
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(RECONNECT_SECONDS)

    def content(self, path: str, **query: object) -> bytes:
        """The bytes of a file."""
        return self._send("GET", path, params=_given(query)).content

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: object) -> Any:
        """What a POST brings."""
        return self._request("POST", path, json=body or {}, params=_given(query))

    def start(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The execution a POST starts: one, however often the connection breaks meanwhile.

        Raises:
            UnreachableError: no gateway was there to begin with, or it stayed away.
        """
        key = {"Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + START_SECONDS
        was_sent = False
        while True:
            try:
                return self._request("POST", path, json=body or {}, headers=key)
            except UnreachableError as error:
                was_sent |= error.was_sent
                if not was_sent or time.monotonic() > deadline:
                    raise
            except RefusedError as refusal:
                is_on_its_way = refusal.problem.get("code") == "idempotency_in_progress"
                if not is_on_its_way or time.monotonic() > deadline:
                    raise
            time.sleep(RECONNECT_SECONDS)

    def download(self, path: str, target: Path, /, **query: object) -> None:
        """Write a file's bytes to `target`, whole or not at all."""
        part = target.with_name(f"{target.name}.part")
        given = _given(query)
        try:
            with (
                self._http.stream("GET", f"{API}{path}", params=given) as response,
                part.open("wb") as file,
            ):
                if not response.is_success:
                    response.read()
                    raise _refused(response)
                for chunk in response.iter_bytes():
                    file.write(chunk)
            part.replace(target)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            part.unlink(missing_ok=True)

    def patch(self, path: str, body: Mapping[str, Any], **query: object) -> Any:
        """The changed resource."""
        return self._request("PATCH", path, json=body, params=_given(query))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """What was made, or nothing where something was replaced."""
        return self._request("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """Delete a resource."""
        self._request("DELETE", path)

    def events(self, execution_id: str) -> Iterator[Event]:
        """An execution's events from the first to the last, across lost connections.

        Raises:
            UnreachableError: the gateway stayed away.
            RefusedError: there is no such execution, or it is not yours.
        """
        after, last_type = 0, ""
        heard_at: float | None = None  # None: never, so there is nothing to wait for
        # An operator's reset continues behind a terminal event: only the end of the stream is one.
        while last_type not in LAST_EVENTS:
            try:
                for event in self._stream(execution_id, after):
                    heard_at = time.monotonic()
                    if event.seq is not None:
                        after, last_type = event.seq, event.type
                    yield event
            except httpx2.TransportError as error:
                if heard_at is None or time.monotonic() - heard_at > GIVE_UP_SECONDS:
                    raise self._unreachable(error) from error
                time.sleep(RECONNECT_SECONDS)

    def _stream(self, execution_id: str, after: int) -> Iterator[Event]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        path = f"{API}/task-executions/{execution_id}/events"
        with self._http.stream("GET", path, headers=headers, timeout=STREAM_TIMEOUT) as response:
            if response.status_code >= SERVER_ERROR:
                raise httpx2.RemoteProtocolError(f"HTTP {response.status_code}")
            if not response.is_success:
                response.read()
                raise _refused(response)
            for sent in httpx2.EventSource(response):
                body = json.loads(sent.data)
                if sent.event == "delta":
                    yield Event("delta", body)
                else:
                    yield Event(body["type"], body["data"], body["seq"])

    def _request(self, method: str, path: str, **more: Any) -> Any:
        response = self._send(method, path, **more)
        return response.json() if response.content else None

    def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, f"{API}{path}", **more)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code >= SERVER_ERROR:
            raise UnreachableError(
                f"{self.place.api_url} can't serve now: {_refused(response)} "
                f"(HTTP {response.status_code})",
                was_sent=True,
            )
        if not response.is_success:
            raise _refused(response)
        return response

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"{self.place.api_url} does not answer ({error}). Is it running? Start one with "
            "`perdure up`, or set PERDURE_API_URL.",
            was_sent=not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout),
        )


def _refused(response: httpx2.Response) -> RefusedError:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    return RefusedError(problem if isinstance(problem, dict) else {}, response.status_code)


def _place(loc: Sequence[Any]) -> str:
    """Where a problem is: whether in the body or in the query says nothing on a command line."""
    parts = loc[1:] if loc and loc[0] in {"body", "path", "query"} else loc
    return ".".join(map(str, parts)) or "(all of it)"


def _given(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}
