"""One call of a web tool: a request, its redirects, and the response."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import httpx2

from domain.errors import AddressRefusedError, OutboundError, SecretUnusableError, ToolInputError
from domain.secrets import reference_in
from domain.tools.calls import ToolInvocation, ToolOutcome
from domain.web.connections import NO_CONNECTIONS, Connection
from domain.web.urls import WebUrl, WebUrlError
from tools.network import write_journal
from tools.web.access import WebAccess, WebClient
from tools.web.bodies import SecretMask
from tools.web.redirects import MAX_REDIRECTS, WebRequest, follow_redirect

NOT_SENT = "Nothing was sent."
MAY_HAVE_HAPPENED = (
    "The request was sent, so it may have taken effect. Check that before you send it again."
)
INTERRUPTED = "The call was interrupted before the response had arrived."
_FIRST_ERROR = 400
_NEVER_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, socket.gaierror, UnicodeError)
"""Why a request was not sent: no connection, or no address."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A response whose body has not been read. `request` is the one that it answers."""

    request: WebRequest
    response: httpx2.Response
    redirects: int

    @property
    def media_type(self) -> str:
        """The type of the body, without parameters and in lower case; empty if unknown."""
        return self.response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def describe(self) -> str:
        """Return the status as a line for the model."""
        status = self.response.status_code
        line = f"HTTP {status}"
        if status in HTTPStatus.__members__.values():
            line += f" {HTTPStatus(status).phrase}"
        if status >= _FIRST_ERROR:
            line += " (the server reports an error)"
        if self.redirects:
            line += f" from {self.request.url}, after a redirect"
        return line


@dataclass
class Exchange:
    """Sends the requests of one call within `seconds`."""

    access: WebAccess
    invocation: ToolInvocation
    seconds: float
    before_sending: Callable[[], Awaitable[None]] | None = None
    """Awaited once, when all is checked that can be checked without a connection."""
    journal: Path | None = None
    """A file for the connections of a call that a crash interrupts."""
    secrets: list[str] = field(default_factory=list)
    """The values of secrets that were sent."""
    connections: list[Connection] = field(default_factory=list)
    _unsafe_status: int | None = None
    """How the server answered a request that may have changed something."""

    async def record(self, running: Awaitable[ToolOutcome]) -> ToolOutcome:
        """Return the outcome of a call with its connections. A mistake is an outcome, too."""
        try:
            outcome = await running
        except ToolInputError as error:
            sentence = SecretMask(self.secrets).text(error.detail)  # it may name a redirect's URL
            outcome = ToolOutcome(sentence, is_error=True)
        log = NO_CONNECTIONS.with_connections(self.connections)
        return replace(outcome, connections=log)

    @asynccontextmanager
    async def send(self, request: WebRequest) -> AsyncIterator[Arrived]:
        """Send a request, follow its redirects, and read the body of the last one in the block.

        Raises:
            ToolInputError: the request is refused or fails, with what the model can do.
        """
        client = self.access.connect(self.invocation.network, self.connections.append)
        deadline = time.monotonic() + self.seconds
        for redirects in range(MAX_REDIRECTS + 1):
            headers = await self._prepare(request)
            await self._note(request.url)
            async with self._streaming(client, request, headers, deadline) as response:
                following = self._following(request, response)
                if following is None:
                    yield Arrived(request, response, redirects)
                    return
            request = following
        raise self._failure(
            f"There are more than {MAX_REDIRECTS} redirects; the last one leads to {request.url}."
        )

    async def _prepare(self, request: WebRequest) -> dict[str, str]:
        """Check a request, and return its headers with the values of secrets."""
        rules = self.invocation.host_rules
        if rules is not None and (problem := rules.problem(request.url.host)):
            raise self._failure(f"{request.url}: {problem}")
        try:
            headers = {n: await self._open(v, request.url) for n, v in request.headers.items()}
        except SecretUnusableError as error:
            raise self._failure(f"{error.detail} {NOT_SENT}") from error
        if self.before_sending is not None:
            await self.before_sending()
            self.before_sending = None
        return headers

    async def _note(self, url: WebUrl) -> None:
        """Write a request to the journal before it is sent."""
        if self.journal is not None:
            sending = Connection(url.host, url.port, "failed", INTERRUPTED)
            await asyncio.to_thread(write_journal, self.journal, [*self.connections, sending])

    async def _open(self, value: str, url: WebUrl) -> str:
        reference = reference_in(value)
        if reference is None:
            return value
        call = self.invocation
        secret = await self.access.open_secret(call.user_id, reference, url.host, call.name)
        if not (secret.isascii() and secret.isprintable()):
            raise SecretUnusableError(
                f"The value of {reference} is not valid in an HTTP header; use visible ASCII "
                "characters."
            )
        self.secrets.append(secret)
        return value.replace(reference, secret)

    @asynccontextmanager
    async def _streaming(
        self, client: WebClient, request: WebRequest, headers: dict[str, str], deadline: float
    ) -> AsyncIterator[httpx2.Response]:
        left = timedelta(seconds=max(deadline - time.monotonic(), 0.001))
        try:
            async with client.stream(
                request.method,
                str(request.url),
                headers=headers,
                content=request.content,
                timeout=left,
            ) as response:
                yield response
        except AddressRefusedError as error:
            raise self._failure(f"{error.detail} {NOT_SENT}") from error
        except OutboundError as error:
            raise self._failure(f"{error.detail} {_advice(request, error)}".strip()) from error

    def _following(self, request: WebRequest, response: httpx2.Response) -> WebRequest | None:
        if not request.is_safe:
            self._unsafe_status = response.status_code
        try:
            return follow_redirect(request, response.status_code, response.headers.get("location"))
        except WebUrlError as error:
            raise self._failure(
                f"{request.url} redirects to a URL that can't be used. {error}"
            ) from error

    def _failure(self, sentence: str) -> ToolInputError:
        if self._unsafe_status is None:
            return ToolInputError(sentence)
        return ToolInputError(
            f"The server received the request and answered it with {self._unsafe_status}, a "
            f"redirect that failed: {sentence}"
        )


def _advice(request: WebRequest, error: OutboundError) -> str:
    """Whether a request that failed may have had an effect."""
    if error.__cause__ is None or isinstance(error.__cause__, _NEVER_CONNECTED):
        return NOT_SENT
    return "" if request.is_safe else MAY_HAVE_HAPPENED
