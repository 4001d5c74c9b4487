"""One HTTP exchange, as the `anthropic` SDK is configured. Importing it loads the SDK (2 to 3 s).

The SDK reads its variables, and provides the address, the headers, the credentials and the HTTP
client. Requests are sent by that client and not by the SDK's methods, whose options, retries and
models are not used: they took a third of the CPU of a model call (measured 2026-11-29).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property

import aiohttp
import anthropic
import httpx2

from claude import failures
from claude.answer_stream import parse_object

_CONNECT_SECONDS = 5.0
"""The SDK's default: a handshake that takes longer does not succeed."""

_MAX_CONNECTIONS = 10_000
"""More than a worker has executions: those are the limit, and a lower one would queue calls."""

_KEEP_ALIVE_SECONDS = 15.0
"""Most tools finish within this time, so the next call saves a TLS handshake. Proxies close idle
connections after 60 s or more, and a call on a connection that was just closed fails."""

_DEFAULT_BASE_URL = "https://api.anthropic.com"
_PLACEHOLDER_KEY = "not-needed"
"""For a custom server that needs no key: the SDK sends no request without one."""

_CONNECTION_ERRORS = (httpx2.HTTPError, aiohttp.ClientError, OSError)
"""Errors of a connection that breaks."""


class StreamedAnswer:
    """An answer whose headers were received and whose body is still to be read."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._body = response.aiter_bytes()
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        return self.headers.get("request-id")

    async def read(self) -> bytes | None:
        """The next part of the body; None at its end.

        Raises:
            ModelCallError: the connection broke or fell silent.
        """
        with _as_model_errors(self.request_id):
            return await anext(self._body, None)

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to the end."""
        with contextlib.suppress(*_CONNECTION_ERRORS):  # does not concern the received message
            await self._response.aclose()


class Transport:
    """A client of the Messages API that holds the connections of this process."""

    def __init__(self, client: anthropic.AsyncAnthropic, http: httpx2.AsyncClient) -> None:
        """`http` is the HTTP client of `client`."""
        self._client = client
        self._http = http

    @cached_property
    def _url(self) -> httpx2.URL:
        base = self._client.base_url
        return base.copy_with(raw_path=base.raw_path + b"v1/messages")

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        """The headers of every request, with a static key; other credentials are `custom_auth`."""
        return {n: v for n, v in self._client.default_headers.items() if isinstance(v, str)}

    async def post(self, body: bytes, betas: Sequence[str]) -> StreamedAnswer:
        """Send a request and wait for the headers of its answer.

        Raises:
            ModelCallError: the answer was an error, or no answer came.
        """
        url = self._url.copy_with(query=b"beta=true") if betas else self._url
        beta = {"anthropic-beta": ",".join(betas)} if betas else {}
        with _as_model_errors(None):
            request = self._http.build_request(
                "POST", url, content=body, headers={**self._headers, **beta}
            )
            response = await self._http.send(request, auth=self._client.custom_auth, stream=True)
            if response.is_success:
                return StreamedAnswer(response)
            async with contextlib.aclosing(response):
                content = await response.aread()
        found = parse_object(content) or content.decode("utf-8", "replace").strip()
        raise failures.from_answer(response.status_code, response.headers, found)

    async def list_models(self) -> object:
        """The answer of the Models API as it came.

        Raises:
            ModelCallError: the server has no Models API, or did not answer.
        """
        with _as_model_errors(None):
            response = await self._client.get("/v1/models?limit=1000", cast_to=httpx2.Response)
            return response.json()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()


def connect(
    *, base_url: str | None, api_key: str | None, read_timeout: timedelta
) -> Transport | None:
    """Make a transport from these values or the SDK's variables; None if no model is configured."""
    http = anthropic.DefaultAioHttpClient(
        timeout=httpx2.Timeout(read_timeout.total_seconds(), connect=_CONNECT_SECONDS),
        limits=httpx2.Limits(
            max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_SECONDS
        ),
    )
    client = anthropic.AsyncAnthropic(
        base_url=base_url, api_key=api_key, max_retries=0, http_client=http
    )
    if str(client.base_url) in {"", "/"}:  # an empty ANTHROPIC_BASE_URL, as compose files set it
        client.base_url = _DEFAULT_BASE_URL
    if client.base_url.scheme not in {"http", "https"}:
        return None
    if not _has_credentials(client):
        if client.base_url.host == httpx2.URL(_DEFAULT_BASE_URL).host:
            return None
        client.api_key = _PLACEHOLDER_KEY
    return Transport(client, http)


def _has_credentials(client: anthropic.AsyncAnthropic) -> bool:
    headers = {name.lower() for name in client.default_headers}
    return client.credentials is not None or bool(headers & {"authorization", "x-api-key"})


@contextlib.contextmanager
def _as_model_errors(request_id: str | None) -> Iterator[None]:
    try:
        yield
    except anthropic.APIStatusError as error:
        raise failures.from_answer(error.status_code, error.response.headers, error.body) from error
    except Exception as error:  # also an invalid header or address, and errors of credentials
        raise failures.from_connection(error, request_id=request_id) from error
