import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2

from domain.events import Event
from persistence.db.live_updates import LIVE_CHANNEL, WATCH_CHANNEL, Listener, notify
from persistence.executions import events
from persistence.tables.executions import ExecutionRow
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient
STREAM = {"Accept": "text/event-stream"}


async def append_events(world: World, execution: dict[str, Any], *new: Event) -> None:
    """Append events as the loop does, with the ping that goes with a watched step."""
    execution_id = UUID(execution["id"])
    async with world.gateway.database.transaction() as session:
        seq = await events.append(session, execution_id, *new)
        await notify(
            session, LIVE_CHANNEL, json.dumps({"execution_id": str(execution_id), "seq": seq})
        )
        if new[-1].type == "execution.completed":
            row = await session.get_one(ExecutionRow, execution_id)
            row.status = "completed"


async def stream(
    client: Client, execution: dict[str, Any], **headers: str
) -> AsyncIterator[dict[str, str]]:
    """The frames of a stream, each as its fields."""
    path = execution["_links"]["events"]
    async with client.stream("GET", path, headers={**STREAM, **headers}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        frame: dict[str, str] = {}
        async for line in response.aiter_lines():
            if line:
                name, _, value = line.partition(":")
                frame[name] = value.strip()
            else:
                yield frame
                frame = {}


async def test_a_stream_sends_all_events_and_ends(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    await append_events(world, execution, Event("execution.started"))
    seen: list[tuple[str, str]] = []
    async for frame in stream(client, execution):
        if "event" not in frame:
            continue
        seen.append((frame["id"], frame["event"]))
        data = json.loads(frame["data"])
        assert (str(data["seq"]), data["type"]) == seen[-1]
        assert data["execution_id"] == execution["id"]
        if frame["event"] == "execution.started":
            await append_events(
                world, execution, Event("turn.started"), Event("execution.completed")
            )
    assert seen == [
        ("1", "execution.created"),
        ("2", "execution.started"),
        ("3", "turn.started"),
        ("4", "execution.completed"),
    ]


async def test_a_stream_resumes_without_loss_or_repeat(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    more = [Event("turn.started", {"text": "a\nb\ud800"}) for _ in range(3)]
    await append_events(world, execution, *more, Event("execution.completed"))
    frames = [f async for f in stream(client, execution, **{"Last-Event-ID": "3"})]
    assert [f["id"] for f in frames if "id" in f] == ["4", "5"]
    path = execution["_links"]["events"]
    over = await client.get(path, headers={**STREAM, "Last-Event-ID": "5"})
    assert over.status_code == 204
    bad = await client.get(path, headers={**STREAM, "Last-Event-ID": "x"})
    assert (bad.status_code, bad.json()["code"]) == (400, "malformed_request")


async def test_deltas_pass_between_the_events(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    delta = {"execution_id": execution["id"], "turn": 1, "delta": "Hel"}
    seen: list[dict[str, str]] = []
    async for frame in stream(client, execution):
        if frame.get("event") == "execution.created":
            async with world.gateway.database.transaction() as session:
                await notify(session, LIVE_CHANNEL, json.dumps(delta))
        if frame.get("event") == "delta":
            seen.append(frame)
            await append_events(world, execution, Event("execution.completed"))
    assert len(seen) == 1
    assert "id" not in seen[0]
    assert json.loads(seen[0]["data"]) == {"turn": 1, "delta": "Hel"}


async def test_text_that_comes_after_its_message_is_left_out(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    seen: list[dict[str, str]] = []
    async for frame in stream(client, execution):
        if frame.get("event") == "execution.created":
            await append_events(
                world, execution, Event("turn.completed", {"turn": 1, "error": "overloaded"})
            )
            await append_events(world, execution, Event("turn.completed", {"turn": 2}))
        if frame.get("id") == "3":
            async with world.gateway.database.transaction() as session:
                for turn in (2, 3):
                    delta = {"execution_id": execution["id"], "turn": turn, "delta": "Hel"}
                    await notify(session, LIVE_CHANNEL, json.dumps(delta))
        if frame.get("event") == "delta":
            seen.append(frame)
            await append_events(world, execution, Event("execution.completed"))
    assert [json.loads(frame["data"])["turn"] for frame in seen] == [3]


async def test_a_lost_notification_costs_a_moment_and_no_event(
    world: World, client: Client
) -> None:
    execution = await execute(client, await make_task(client))
    seen = []
    async for frame in stream(client, execution):
        seen += [frame["event"]] if "event" in frame else []
        if frame.get("event") == "execution.created":
            async with world.gateway.database.transaction() as session:
                await events.append(session, UUID(execution["id"]), Event("execution.completed"))
    assert seen == ["execution.created", "execution.completed"]


async def test_workers_learn_that_a_client_watches(world: World, client: Client) -> None:
    watched: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.Event()
    url = str(world.gateway.settings.database_url)
    listener = Listener(url, {WATCH_CHANNEL: watched.put_nowait}, on_gap=listening.set)
    task = asyncio.create_task(listener.run())
    await listening.wait()
    execution = await execute(client, await make_task(client))
    async for _ in stream(client, execution):
        break
    async with asyncio.timeout(60):
        while await watched.get() != execution["id"]:
            pass
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_events_are_listed_behind_a_mark(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    await append_events(world, execution, *(Event("turn.started", {"turn": i}) for i in range(4)))
    path = execution["_links"]["events"]
    whole = (await client.get(path)).json()
    assert [e["seq"] for e in whole["items"]] == [1, 2, 3, 4, 5]
    assert whole["next_cursor"] is None
    assert whole["items"][0]["at"].endswith("Z")
    behind = (await client.get(f"{path}?after=2&page_size=2")).json()
    assert [e["seq"] for e in behind["items"]] == [3, 4]
    rest = (await client.get(behind["_links"]["next"])).json()
    assert [e["seq"] for e in rest["items"]] == [5]
