"""Streamed text and progress on their way to the gateways."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities.live_updates import ExecutionLiveUpdates, LiveWatchers
from api.live_updates import LiveUpdates
from domain.executions.steps import ToolCall, ToolCallStatus
from domain.ids import new_id
from domain.tools.calls import ToolEffect, ToolProgress
from persistence.db.database import Database
from persistence.db.live_updates import LIVE_CHANNEL, Listener
from persistence.executions.cached_reads import CachedReads


@pytest.fixture
async def watchers(database_url: str) -> AsyncIterator[LiveWatchers]:
    database = Database.connect(database_url)
    yield LiveWatchers(database)
    await database.close()


@pytest.fixture
async def sent(database_url: str) -> AsyncIterator[asyncio.Queue[str]]:
    """What gateways receive."""
    received: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.Event()
    listener = Listener(database_url, {LIVE_CHANNEL: received.put_nowait}, on_gap=listening.set)
    task = asyncio.create_task(listener.run())
    await listening.wait()
    yield received
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_each_part_has_its_offset_in_the_answer(
    watchers: LiveWatchers, sent: asyncio.Queue[str]
) -> None:
    execution_id = new_id()
    updates = ExecutionLiveUpdates(execution_id, watchers)

    async def next_delta() -> Any:
        while "delta" not in (part := json.loads(await sent.get())):
            continue
        return part["turn"], part["offset"], part["delta"]

    updates.publish_text(1, "Unsent ")
    updates.publish_text(1, "letters. ")
    watchers.watch(str(execution_id))
    updates.publish_text(1, "Ha")
    updates.publish_text(1, " ha")
    assert await next_delta() == (1, 16, "Ha ha")
    updates.publish_text(1, " ha")
    assert await next_delta() == (1, 21, " ha")
    updates.publish_step(5, is_settled=False)
    updates.publish_text(2, "漢" * 3000)
    parts = [await next_delta()]
    while sum(len(part[2]) for part in parts) < 3000:
        parts.append(await next_delta())
    assert len(parts) > 1
    offsets = [part[1] for part in parts]
    assert offsets == [sum(len(part[2]) for part in parts[:n]) for n in range(len(parts))]


async def test_the_notification_of_an_end_ends_a_wait(
    watchers: LiveWatchers, database_url: str
) -> None:
    database, reads = Database.connect(database_url), await CachedReads.connect(database_url)
    updates = LiveUpdates(database, reads, database_url)
    execution_id = new_id()  # no row says that it has ended
    async with updates.running():
        waiting = asyncio.create_task(updates.wait_until_settled(execution_id, math.inf))
        while not waiting.done():  # until the gateway receives notifications
            watchers.publish_end(execution_id, 1)
            await asyncio.wait([waiting], timeout=0.1)
    await reads.close()
    await database.close()


def call_of(name: str) -> ToolCall:
    return ToolCall(
        id=new_id(),
        turn=1,
        position=0,
        tool_use_id="toolu_1",
        name=name,
        input="{}",
        input_sha256=b"",
        effect=ToolEffect.EXTERNAL,
        status=ToolCallStatus.STARTED,
    )


async def test_the_latest_progress_of_each_call_is_sent(
    watchers: LiveWatchers, sent: asyncio.Queue[str]
) -> None:
    execution_id = new_id()
    updates = ExecutionLiveUpdates(execution_id, watchers)
    first, second = call_of("first"), call_of("second")
    updates.publish_progress(1, first, ToolProgress(0, 3, "unwatched"))
    watchers.watch(str(execution_id))
    for number in range(1000):
        updates.publish_progress(1, first, ToolProgress(number, math.inf, "漢" * 1000))
    updates.publish_progress(1, second, ToolProgress(message="packed"))
    updates.publish_progress(1, second, ToolProgress())
    got = [json.loads(await sent.get())["progress"] for _ in range(2)]
    assert [(part["name"], part.get("progress")) for part in got] == [
        ("first", 999),
        ("second", None),
    ]
    assert got[0]["message"] == "漢" * 300
    assert got[1] == {"tool_call_id": str(second.id), "name": "second", "message": "packed"}
