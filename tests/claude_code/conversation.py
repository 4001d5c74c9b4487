"""The Messages API for one conversation of Claude Code: each call gets the next scripted turn.

The product's scripted model is no substitute: it finds the turn in the prompt, and it refuses the
messages with the role `system` that Claude Code sends.
"""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from claude.scripted.events import message_events
from tests.api.conftest import serve_app
from tests.waiting import eventually

_STARTED = re.compile(r"background as task ([A-Za-z0-9_-]+)")
_IDS = itertools.count(1)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """One answer of Claude Code's model: a text, or a call of a tool of the server."""

    text: str | None = None
    tool: str | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    after: asyncio.Event | None = None
    """The answer waits for it."""


def write(text: str) -> ModelTurn:
    """A final answer."""
    return ModelTurn(text=text)


def call(tool: str, **arguments: Any) -> ModelTurn:
    """A call of a tool of the server, or of one of Claude Code's own, such as `TaskStop`.

    The argument `$TASK` becomes the id of the latest background task.
    """
    return ModelTurn(tool=tool, input=arguments)


class ScriptedConversation:
    """The turns, and what Claude Code sent for each of them."""

    def __init__(self, server: str) -> None:
        """`server` is the name under which Claude Code knows the MCP server."""
        self.server = server
        self.requests: list[Json] = []
        self.url = ""
        self._turns: list[ModelTurn] = []
        self._background_task = ""

    def script(self, *turns: ModelTurn) -> None:
        """Append turns."""
        self._turns += turns

    async def wait_for_request(self, number: int) -> Json:
        """Wait for the request with this number, from 1; the request."""

        async def arrived() -> bool:
            return len(self.requests) >= number

        await eventually(arrived, what=f"request {number} of Claude Code")
        return self.requests[number - 1]

    @property
    def results(self) -> list[str]:
        """The results of tools that the model got, in order."""
        messages = self.requests[-1]["messages"] if self.requests else []
        return [
            _text_of(block.get("content"))
            for message in messages
            for block in _blocks(message)
            if block.get("type") == "tool_result"
        ]

    @property
    def texts(self) -> str:
        """All texts that the model got, apart from the results of tools."""
        messages = self.requests[-1]["messages"] if self.requests else []
        return "\n".join(
            block["text"]
            for message in messages
            for block in _blocks(message)
            if block.get("type") == "text"
        )

    async def answer(self, body: Json) -> Json:
        """The message for a request. Requests beside the conversation get a short text."""
        if not _is_main(body):
            return self._message(body, [{"type": "text", "text": "ok"}])
        number = len(self.requests)
        self.requests.append(body)
        for found in _STARTED.finditer(json.dumps(body["messages"][-1])):
            self._background_task = found[1]
        turn = self._turns[number] if number < len(self._turns) else ModelTurn("End of script.")
        if turn.after is not None:
            await turn.after.wait()
        return self._message(body, self._content(turn))

    def _content(self, turn: ModelTurn) -> list[Json]:
        if turn.tool is None:
            return [{"type": "text", "text": turn.text}]
        is_own = turn.tool[0].isupper()
        name = turn.tool if is_own else f"mcp__{self.server}__{turn.tool}"
        given = {k: self._background_task if v == "$TASK" else v for k, v in turn.input.items()}
        return [{"type": "tool_use", "id": f"toolu_{next(_IDS):012}", "name": name, "input": given}]

    def _message(self, body: Json, content: list[Json]) -> Json:
        return {
            "id": f"msg_{next(_IDS):012}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": "tool_use" if content[0]["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1000, "output_tokens": 20},
        }


@asynccontextmanager
async def serve_conversation(server: str) -> AsyncIterator[ScriptedConversation]:
    """A conversation, served while the block runs."""
    conversation = ScriptedConversation(server)

    async def messages(request: Request) -> Response:
        body = await request.json()
        message = await conversation.answer(body)
        if not body.get("stream"):
            return JSONResponse(message)
        events = b"".join(message_events(message, []))
        return Response(events, media_type="text/event-stream")

    async def count_tokens(_: Request) -> Response:
        return JSONResponse({"input_tokens": 1000})

    async def others(_: Request) -> Response:
        return JSONResponse({"data": [], "has_more": False, "first_id": None, "last_id": None})

    app = Starlette(
        routes=[
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count_tokens, methods=["POST"]),
            Route("/{path:path}", others, methods=["GET", "HEAD"]),
        ]
    )
    async with serve_app(app) as conversation.url:
        yield conversation


def _is_main(body: Json) -> bool:
    """Whether the request belongs to the conversation; others make titles and summaries."""
    tools = body.get("tools") or []
    return len(tools) > 2 or "mcp__" in json.dumps([tools, body["messages"]])


def _blocks(message: Json) -> Sequence[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content or [])
