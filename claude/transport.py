"""One HTTP exchange through the `anthropic` SDK. Importing this module loads the SDK (2 to 3 s).

The SDK resolves credentials, signs, times out and closes; its retries are off. Its models of
requests and answers are passed by: bytes go out, bytes come in, at half the CPU of
`messages.stream()` (0.65 against 1.25 ms per call of eleven events, measured 2026-11-21).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import cast

import aiohttp
import anthropic
import httpx2

from claude import posture

_CONNECT_SECONDS = 5.0
"""The SDK's own default: a handshake that takes longer is not going to happen."""

_MAX_CONNECTIONS = 10_000
"""More than any worker has executions, which bound it: a second bound would queue calls unseen."""

_KEEP_ALIVE_SECONDS = 15.0
"""Most tools are done by then, so the next call saves a TLS handshake; proxies close idle
connections after 60 s and more, and a connection the other side just closed costs a failed call."""

_DEFAULT_BASE_URL = "https://api.anthropic.com"
_PLACEHOLDER_KEY = "not-needed"
"""For a server of one's own that asks for no key: the SDK refuses to send a request without one."""

_CONNECTION_ERRORS = (httpx2.HTTPError, aiohttp.ClientError, OSError)
"""What a connection that breaks inside a stream raises: the SDK does not wrap it."""


class Answer:
    """An answer whose head has come and whose body has not."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._body = response.aiter_bytes()
        self.headers: Mapping[str, str] = response.headers

    @property
    def request_id(self) -> str | None:
        """The provider's name for the call."""
        return self.headers.get("request-id")

    async def read(self) -> bytes | None:
        """The next part of the body; None at its end.

        Raises:
            ModelCallError: the connection broke or fell silent.
        """
        with _as_model_errors(self.request_id):
            return await anext(self._body, None)

    async def aclose(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        with contextlib.suppress(*_CONNECTION_ERRORS):  # says nothing about the message that came
            await self._response.aclose()


class Transport:
    """A client of the Messages API that holds the connections of this process."""

    def __init__(self, client: anthropic.AsyncAnthropic) -> None:
        self._client = client

    async def post(self, body: bytes, betas: Sequence[str]) -> Answer:
        """Send a request and wait for the head of its answer.

        Raises:
            ModelCallError: an error came instead, or nothing.
        """
        with _as_model_errors(None):
            response = await self._client.post(
                "/v1/messages?beta=true" if betas else "/v1/messages",
                content=body,
                cast_to=httpx2.Response,
                stream=True,  # don't read the body yet
                stream_cls=anthropic.AsyncStream[object],
                options={"headers": {"anthropic-beta": ",".join(betas)} if betas else {}},
            )
        # What comes back is what `cast_to` says; the signature knows only its own stream classes.
        return Answer(cast("httpx2.Response", response))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()


def connect(
    *, base_url: str | None, api_key: str | None, read_timeout: timedelta
) -> Transport | None:
    """A transport by these values, else by the SDK's own variables; None if they name nobody."""
    client = anthropic.AsyncAnthropic(
        base_url=base_url,
        api_key=api_key,
        max_retries=0,  # the loop decides, from the record
        http_client=anthropic.DefaultAioHttpClient(
            timeout=httpx2.Timeout(read_timeout.total_seconds(), connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(
                max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_SECONDS
            ),
        ),
    )
    if str(client.base_url) in {"", "/"}:  # ANTHROPIC_BASE_URL set to nothing, as compose files do
        client.base_url = _DEFAULT_BASE_URL
    if client.base_url.scheme not in {"http", "https"}:
        return None
    if not _has_credentials(client):
        if client.base_url.host == httpx2.URL(_DEFAULT_BASE_URL).host:
            return None
        client.api_key = _PLACEHOLDER_KEY
    return Transport(client)


def _has_credentials(client: anthropic.AsyncAnthropic) -> bool:
    headers = {name.lower() for name in client.default_headers}
    return client.credentials is not None or bool(headers & {"authorization", "x-api-key"})


@contextlib.contextmanager
def _as_model_errors(request_id: str | None) -> Iterator[None]:
    try:
        yield
    except anthropic.APIStatusError as error:
        raise posture.from_answer(error.status_code, error.response.headers, error.body) from error
    except (anthropic.AnthropicError, *_CONNECTION_ERRORS) as error:
        raise posture.from_connection(error, request_id=request_id) from error
