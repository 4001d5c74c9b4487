"""The adapter to Claude: one streamed model call; every failure becomes a `ModelCallError`."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from claude import failures, request_body
from claude.answer_stream import EventDecoder, MalformedStreamError, MessageBuilder
from domain.errors import ModelCallError, ModelFailureKind
from domain.model_calls import ModelRequest, ModelResponse

if TYPE_CHECKING:
    from claude.transport import StreamedAnswer, Transport

READ_TIMEOUT = timedelta(minutes=5)
"""The longest silence within an answer (chosen). The API sends pings while the model thinks, so a
connection that is silent for minutes is dead. Half of the SDK's 10 minutes, which also have to
cover answers without streaming."""

_DRAIN_SECONDS = 1.0
"""Time to read the rest of the body after the message has ended (chosen); it is usually in the same
packet. A connection is reused only if its body was read to the end."""

_RATE_LIMIT_PREFIX = "anthropic-ratelimit-"

_NOT_CONFIGURED = (
    "No access to a model is configured: set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL to the "
    "http(s) address of a server with the Messages API, and restart the worker. "
    "`--scripted-model` runs without any model."
)


class ClaudeModel:
    """Claude, through the SDK. Holds connections: make one per process and close it.

    The SDK is 45 MB of types and takes 2 to 3 s to load. The first call loads it, in a thread, so
    that an idle worker starts sooner and uses a third less memory.
    """

    def __init__(self, connect: "Callable[[], Transport | None]") -> None:
        """`connect` is called in a thread; it returns None if no model is configured."""
        self._connect = connect
        self._connecting = asyncio.Lock()
        self._is_connected = False
        self._transport: Transport | None = None

    @classmethod
    def create(
        cls,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        read_timeout: timedelta = READ_TIMEOUT,
    ) -> Self:
        """Create a model at `base_url`, or as the SDK's variables (`ANTHROPIC_*`) specify."""

        def connect() -> "Transport | None":
            from claude import transport  # noqa: PLC0415 - loads the SDK

            return transport.connect(base_url=base_url, api_key=api_key, read_timeout=read_timeout)

        return cls(connect)

    async def ready(self) -> None:
        """Load and set up the SDK, once per process. Repeated calls do nothing."""
        async with self._connecting:
            if not self._is_connected:
                self._transport = await asyncio.to_thread(self._connect)
                self._is_connected = True

    async def call(
        self, request: ModelRequest, *, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """Call the model once and return its whole message; `on_text` receives text as it streams.

        Cancelling closes the connection at once. The text may contain characters that a database
        refuses, such as NUL and lone surrogates.

        Raises:
            ModelCallError: no whole message came.
        """
        await self.ready()
        if self._transport is None:
            raise ModelCallError(
                _NOT_CONFIGURED, kind=ModelFailureKind.NOT_CONFIGURED, retryable=False
            )
        started = time.monotonic()
        answer = await self._transport.post(request_body.encode(request), request.prefix.betas)
        try:
            return await _read(answer, MessageBuilder(on_text), started)
        except MalformedStreamError as error:
            raise failures.from_connection(error, request_id=answer.request_id) from error
        finally:
            await answer.aclose()

    async def close(self) -> None:
        """Close all connections. Active calls fail."""
        if self._transport is not None:
            await self._transport.aclose()


async def _read(answer: "StreamedAnswer", builder: MessageBuilder, started: float) -> ModelResponse:
    decoder = EventDecoder()
    first_token_ms = None
    while not builder.is_complete:
        chunk = await answer.read()
        if chunk is None:
            raise MalformedStreamError("The stream ended before the message did.")
        for event in decoder.feed(chunk):
            if event.get("type") == "error":
                raise failures.from_answer(200, answer.headers, event)
            builder.add(event)
        if first_token_ms is None and builder.has_begun:
            first_token_ms = int((time.monotonic() - started) * 1000)
    await _drain(answer)
    return _response(answer, builder, first_token_ms)


async def _drain(answer: "StreamedAnswer") -> None:
    """Read the rest of the body. The message is complete, so an error here is ignored."""
    with contextlib.suppress(ModelCallError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await answer.read() is not None:
                pass


def _response(
    answer: "StreamedAnswer", builder: MessageBuilder, first_token_ms: int | None
) -> ModelResponse:
    content, malformed = builder.finish()
    message = builder.message
    return ModelResponse(
        content=content,
        stop_reason=message["stop_reason"],
        usage=builder.usage,
        model=message["model"],
        request_id=answer.request_id,
        stop_details=message.get("stop_details"),
        first_token_ms=first_token_ms,
        malformed_inputs=malformed,
        rate_limits={
            name.removeprefix(_RATE_LIMIT_PREFIX): value
            for name, value in answer.headers.items()
            if name.startswith(_RATE_LIMIT_PREFIX)
        },
    )
