"""The adapter to Claude in front of the scripted model, without HTTP."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from claude import failures
from claude.adapter import ClaudeModel
from claude.answer_stream import parse_object
from claude.scripted.gates import Gates
from claude.scripted.replies import Replies, Reply
from domain.model.calls import ModelRequest, ModelResponse

SUCCESS = range(200, 300)


class InMemoryModel:
    """Answers as the request's script says. `requests` holds the bodies, oldest first."""

    def __init__(self) -> None:
        self._endpoint = InMemoryEndpoint()
        self._claude = ClaudeModel(lambda: self._endpoint)

    @property
    def requests(self) -> list[bytes]:
        return self._endpoint.requests

    @property
    def cancelled(self) -> list[bytes]:
        """Requests whose caller went away before the answer."""
        return self._endpoint.cancelled

    def open_gate(self, name: str) -> None:
        """Send the answers that wait at this gate, and hold back no later ones."""
        self._endpoint.gates.open(name)

    async def ready(self) -> None:
        await self._claude.ready()

    async def call(
        self, request: ModelRequest, *, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        return await self._claude.call(request, on_text=on_text)


class InMemoryEndpoint:
    """The scripted model as `claude.transport` reaches it, without a connection."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.gates = Gates()
        self._replies = Replies()
        self._numbers = itertools.count(1)

    async def post(self, body: bytes, betas: Sequence[str]) -> "InMemoryAnswer":
        del betas
        self.requests.append(body)
        reply = self._replies.reply(body)
        await self._wait(body, reply)
        headers = {"request-id": f"req_{next(self._numbers)}", **reply.headers}
        if reply.status not in SUCCESS:
            content = b"".join(reply.parts)
            problem = parse_object(content) or content.decode("utf-8", "replace")
            raise failures.from_answer(reply.status, headers, problem)
        return InMemoryAnswer(reply, headers)

    async def _wait(self, body: bytes, reply: Reply) -> None:
        try:
            if reply.gate is not None:
                await self.gates.wait(reply.gate)
            await asyncio.sleep(reply.delay_seconds)
        except asyncio.CancelledError:
            self.cancelled.append(body)
            raise

    async def list_models(self) -> object:
        """It lists none."""
        return {"data": []}

    async def aclose(self) -> None:
        """Nothing is open."""


class InMemoryAnswer:
    """The body of a reply, part by part."""

    def __init__(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.status = reply.status
        self.headers = headers
        self._parts: Iterator[bytes] = iter(reply.parts)
        self._is_cut = reply.is_cut

    @property
    def request_id(self) -> str | None:
        return self.headers.get("request-id")

    async def read(self) -> bytes | None:
        part = next(self._parts, None)
        if part is None and self._is_cut:
            raise failures.from_connection(ConnectionResetError("cut"))
        return part

    async def aclose(self) -> None:
        """Nothing is open."""
