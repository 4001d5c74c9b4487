"""The Models API: what it answers about lifecycles, and servers that have none."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from typing import Any

import pytest

from claude.model_list import read_lifecycles
from claude.scripted import ScriptedModelServer
from domain.model.lifecycles import ModelLifecycle
from tests.claude.conftest import Connect

ANSWER = {
    "data": [
        {
            "id": "claude-sonnet-4-5-20250929",
            "lifecycle": "deprecated",
            "retires_at": "2026-11-30T00:00:00Z",
        },
        {"id": "claude-opus-5-5", "lifecycle": "active", "retires_at": None},
        {"id": "claude-old", "lifecycle": "retired", "retires_at": "2026-01-01T00:00:00Z"},
        {"id": "llama", "object": "model"},
        "nonsense",
    ]
}
SONNET = ModelLifecycle(date(2026, 11, 30))
LIFECYCLES = {
    "claude-sonnet-4-5-20250929": SONNET,
    "claude-sonnet-4-5": SONNET,
    "claude-opus-5-5": ModelLifecycle(None),
    "claude-old": ModelLifecycle(date(2026, 1, 1), is_retired=True),
}


def test_lifecycles_are_read_by_id_and_by_name() -> None:
    assert read_lifecycles(ANSWER) == LIFECYCLES


@pytest.mark.parametrize("odd", [None, [], "x", {}, {"data": None}, {"data": [1, {"id": 7}]}])
def test_odd_answers_say_nothing(odd: Any) -> None:
    assert read_lifecycles(odd) == {}


@asynccontextmanager
async def serve_body(body: bytes) -> AsyncIterator[str]:
    """A server that answers every request with this body."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_the_api_is_asked_once_a_model_is_connected(connect: Connect) -> None:
    serve: Callable[[bytes], AbstractAsyncContextManager[str]] = serve_body
    async with serve(json.dumps(ANSWER).encode()) as url:
        model = connect(base_url=url, api_key="any")
        assert await model.list_models() is None
        await model.ready()
        assert await model.list_models() == LIFECYCLES


async def test_a_server_without_the_api(connect: Connect, scripted: ScriptedModelServer) -> None:
    model = connect(base_url=scripted.base_url, api_key="any")
    await model.ready()
    assert await model.list_models() is None


async def test_an_answer_that_is_no_json(connect: Connect) -> None:
    async with serve_body(b"<html>") as url:
        model = connect(base_url=url, api_key="any")
        await model.ready()
        assert await model.list_models() is None
