"""The adapter to Claude: one streamed model call; every failure becomes a `ModelCallError`."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol, Self

from claude import failures, normalisation, request_body
from claude.answer_stream import EventDecoder, MalformedStreamError, MessageBuilder, parse_object
from claude.model_list import read_lifecycles
from domain.errors import ModelCallError, ModelFailureKind
from domain.model.calls import ModelRequest, ModelResponse
from domain.model.lifecycles import ModelLifecycle

READ_TIMEOUT = timedelta(minutes=5)
"""The longest silence within an answer (chosen). The API sends pings while the model thinks, so a
connection that is silent for minutes is dead. Half of the SDK's 10 minutes, which also have to
cover answers without streaming."""

_END_SECONDS = 1.0
"""Time to read the rest of the body after the message is whole (chosen); it is usually in the same
packet. A connection is reused only if its body was read to the end."""

_MAX_OTHER_BYTES = 16 * 1024 * 1024
"""Limit of an answer that is not a stream of events (chosen): a message of the largest number
of tokens has a few megabytes."""

_RATE_LIMIT_PREFIX = "anthropic-ratelimit-"

_NOT_CONFIGURED = (
    "No access to a model is configured: set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL to the "
    "http(s) address of a server with the Messages API, and restart the worker. "
    "`--scripted-model` runs without any model."
)


class StreamingAnswer(Protocol):
    """An answer whose headers were received and whose body is still to be read."""

    status: int
    headers: Mapping[str, str]

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request."""
        ...

    async def read(self) -> bytes | None:
        """The next part of the body; None at its end.

        Raises:
            ModelCallError: the connection broke or fell silent.
        """
        ...

    async def aclose(self) -> None:
        """Release the connection."""
        ...


class MessagesServer(Protocol):
    """A server with the Messages API: over HTTP in `claude/transport.py`, in memory in tests."""

    async def post(self, body: bytes, betas: Sequence[str]) -> StreamingAnswer:
        """Send a request and wait for the headers of its answer.

        Raises:
            ModelCallError: the answer was an error, or no answer came.
        """
        ...

    async def list_models(self) -> object:
        """The answer of the Models API as it came.

        Raises:
            ModelCallError: the server has no Models API, or did not answer.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class ClaudeModel:
    """Claude, through the SDK. Holds connections: make one per process and close it.

    The SDK is 45 MB of types and takes 2 to 3 s to load. `ready` loads it, in a thread; a worker
    calls it while it starts, so that its first execution does not wait.
    """

    def __init__(self, connect: Callable[[], MessagesServer | None]) -> None:
        """`connect` is called in a thread; it returns None if no model is configured."""
        self._connect = connect
        self._connecting = asyncio.Lock()
        self._is_connected = False
        self._server: MessagesServer | None = None

    @classmethod
    def create(
        cls,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        read_timeout: timedelta = READ_TIMEOUT,
    ) -> Self:
        """Create a model at `base_url`, or as the SDK's variables (`ANTHROPIC_*`) specify."""

        def connect() -> MessagesServer | None:
            from claude import transport  # noqa: PLC0415 - loads the SDK

            return transport.connect(base_url=base_url, api_key=api_key, read_timeout=read_timeout)

        return cls(connect)

    async def ready(self) -> None:
        """Load and set up the SDK, once per process. Repeated calls do nothing."""
        async with self._connecting:
            if not self._is_connected:
                self._server = await asyncio.to_thread(self._connect)
                self._is_connected = True

    async def call(
        self, request: ModelRequest, *, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """Call the model once and return its whole message; `on_text` receives text as it streams.

        The message is normalised (`claude/normalisation.py`). Cancelling closes the connection at
        once.

        Raises:
            ModelCallError: no whole message came.
        """
        await self.ready()
        if self._server is None:
            raise ModelCallError(
                _NOT_CONFIGURED, kind=ModelFailureKind.NOT_CONFIGURED, retryable=False
            )
        started = time.monotonic()
        answer = await self._server.post(request_body.encode(request), request.prefix.betas)
        try:
            reading = _Reading(answer, MessageBuilder(on_text), started)
            await reading.run()
            return reading.response(request)
        except MalformedStreamError as error:
            raise failures.from_connection(error, request_id=answer.request_id) from error
        finally:
            await answer.aclose()

    async def list_models(self) -> Mapping[str, ModelLifecycle] | None:
        """The lifecycles of models; None before the first call, or if there is no Models API."""
        if self._server is None:
            return None
        try:
            return read_lifecycles(await self._server.list_models())
        except ModelCallError:
            return None

    async def close(self) -> None:
        """Close all connections. Active calls fail."""
        if self._server is not None:
            await self._server.aclose()


class _Reading:
    """Reads one answer to the end of its message."""

    def __init__(self, answer: StreamingAnswer, builder: MessageBuilder, started: float) -> None:
        self._answer = answer
        self._builder = builder
        self._started = started
        self._decoder = EventDecoder()
        self._other = bytearray()
        """The answer, as long as no event of a message was in it."""
        self._first_token_ms: int | None = None

    async def run(self) -> None:
        """Read until the message is complete, or whole and followed by nothing.

        Raises:
            ModelCallError: no whole message came.
            MalformedStreamError: the stream ended before the message did.
        """
        while not self._builder.is_complete:
            chunk = await (self._read_end() if self._builder.is_whole else self._answer.read())
            self._add(chunk)
            if chunk is None:
                break
        if not self._builder.has_begun:
            self._add_other()
        if not self._builder.is_whole:
            raise MalformedStreamError("The stream ended before the message did.")
        with contextlib.suppress(ModelCallError, TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                while await self._answer.read() is not None:
                    pass

    async def _read_end(self) -> bytes | None:
        """Read on after the message is whole; None at the end, after an error, or after silence."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                return await self._answer.read()
        except (ModelCallError, TimeoutError):
            return None

    def _add(self, chunk: bytes | None) -> None:
        events = self._decoder.finish() if chunk is None else self._decoder.feed(chunk)
        if not self._builder.has_begun:
            self._other += chunk or b""
        for event in events:
            if not self._builder.is_whole and _is_error(event):
                raise self._failure(event)
            self._builder.add(event)
        if len(self._other) > _MAX_OTHER_BYTES and not self._builder.has_begun:
            raise self._failure(None)
        if self._first_token_ms is None and self._builder.has_content:
            self._first_token_ms = int((time.monotonic() - self._started) * 1000)

    def _failure(self, body: Mapping[str, object] | None) -> ModelCallError:
        answer = self._answer
        if self._builder.has_begun:
            return failures.from_answer(answer.status, answer.headers, body)
        return failures.from_content(answer.status, answer.headers, bytes(self._other), body)

    def _add_other(self) -> None:
        """Use an answer that is not a stream, if it is a whole message."""
        body = parse_object(bytes(self._other))
        if body is None or body.get("type") != "message":
            raise self._failure(body)
        self._builder.add_message(body)

    def response(self, request: ModelRequest) -> ModelResponse:
        """The message that was read."""
        fields = self._builder.fields
        content = normalisation.normalise_content(self._builder.finish(), request)
        usage, is_complete = normalisation.normalise_usage(self._builder.usage)
        return ModelResponse(
            content=content.blocks,
            stop_reason=normalisation.normalise_stop_reason(
                fields.get("stop_reason"), content.blocks
            ),
            usage=usage,
            model=normalisation.normalise_word(fields.get("model"), request.prefix.model),
            request_id=self._answer.request_id,
            stop_details=normalisation.normalise_details(fields.get("stop_details")),
            first_token_ms=self._first_token_ms,
            malformed_inputs=content.malformed_inputs,
            is_usage_complete=is_complete,
            rate_limits={
                name.removeprefix(_RATE_LIMIT_PREFIX): value
                for name, value in self._answer.headers.items()
                if name.startswith(_RATE_LIMIT_PREFIX)
            },
        )


def _is_error(event: Mapping[str, object]) -> bool:
    """Whether an event is an error; some proxies send it without a type."""
    return event.get("type", "error" if "error" in event else None) == "error"
