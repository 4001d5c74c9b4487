"""Streamed text on its way to the gateways: each part says where in the answer it begins."""

import asyncio
import json
from typing import Any

from activities.live_updates import ExecutionLiveUpdates, LiveWatchers
from domain.ids import new_id
from persistence.db.database import Database
from persistence.db.live_updates import LIVE_CHANNEL, Listener


async def test_each_part_has_its_offset_in_the_answer(database_url: str) -> None:
    sent: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.Event()
    listener = Listener(database_url, {LIVE_CHANNEL: sent.put_nowait}, on_gap=listening.set)
    task = asyncio.create_task(listener.run())
    database = Database.connect(database_url)
    try:
        await listening.wait()
        watchers, execution_id = LiveWatchers(database), new_id()
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
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.close()
