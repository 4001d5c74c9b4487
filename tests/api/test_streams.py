import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text

from cli.tokens import mint
from domain.executions.events import Event
from persistence.db.live_updates import LIVE_CHANNEL, WATCH_CHANNEL, Listener, notify
from persistence.executions import events
from persistence.tables.executions import ExecutionRow
from tests.api.world import SECRET, World, execute, make_task

Client = httpx2.AsyncClient
STREAM = {"Accept": "text/event-stream"}


async def append_events(world: World, execution: dict[str, Any], *new: Event) -> None:
    """Append events as services do."""
    execution_id = UUID(execution["id"])
    async with world.gateway.database.transaction() as session:
        await events.append(session, execution_id, *new)
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


async def test_progress_passes_after_the_message_of_its_turn(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    progress = {"tool_call_id": "c", "name": "mcp__shop__order", "progress": 1, "total": 4}
    update = {"execution_id": execution["id"], "turn": 1, "progress": progress}
    seen: list[dict[str, str]] = []
    async for frame in stream(client, execution):
        if frame.get("event") == "execution.created":
            await append_events(world, execution, Event("turn.completed", {"turn": 1}))
        if frame.get("event") == "turn.completed":
            async with world.gateway.database.transaction() as session:
                await notify(session, LIVE_CHANNEL, json.dumps(update))
        if frame.get("event") == "progress":
            seen.append(frame)
            await append_events(world, execution, Event("execution.completed"))
    [frame] = seen
    assert "id" not in frame
    assert json.loads(frame["data"]) == {"turn": 1, **progress}


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


async def test_streams_read_only_after_a_notification(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read after each event, however many streams are open, and for how long."""
    execution = await execute(client, await make_task(client))
    read = world.gateway.database.raw.rows
    reads = 0

    async def count(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*arguments)

    monkeypatch.setattr(world.gateway.database.raw, "rows", count)
    started = asyncio.Event()
    opened = 0

    async def watch() -> list[str]:
        nonlocal opened
        seen = []
        async for frame in stream(client, execution):
            seen += [frame["event"]] if "event" in frame else []
            if frame.get("event") == "execution.created":
                opened += 1
                started.set() if opened == 5 else None
        return seen

    watching = [asyncio.create_task(watch()) for _ in range(5)]
    await started.wait()
    before = reads
    await append_events(world, execution, Event("execution.completed"))
    seen = await asyncio.gather(*watching)
    assert seen == [["execution.created", "execution.completed"]] * 5
    assert before <= 5
    assert reads - before == 1


async def test_an_event_that_is_not_committed_yet_is_not_missed(
    world: World, client: Client
) -> None:
    """The stream begins between an event's statement and its commit."""
    execution = await execute(client, await make_task(client))
    seen = []

    async def watch() -> None:
        seen.extend([frame.get("event") async for frame in stream(client, execution)])

    async with world.gateway.database.transaction() as session:
        await events.append(session, UUID(execution["id"]), Event("execution.completed"))
        watching = asyncio.create_task(watch())
        while not await _is_waiting_for_a_lock(world):
            pass
    await watching
    assert seen == [None, "execution.created", "execution.completed"]


async def _is_waiting_for_a_lock(world: World) -> bool:
    async with world.gateway.database.reading() as session:
        return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@pytest.mark.parametrize("after", ["3", "999999", "9999999999"])
async def test_a_cursor_beyond_the_last_event_is_refused(
    world: World, client: Client, after: str
) -> None:
    execution = await execute(client, await make_task(client))
    path = execution["_links"]["events"]
    for status in ("pending", "completed"):
        if status == "completed":
            await append_events(world, execution, Event("execution.completed"))
        answer = await client.get(path, headers={**STREAM, "Last-Event-ID": after})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


async def next_event(frames: AsyncIterator[dict[str, str]]) -> str:
    """The type of the next event; comments are passed over."""
    async with asyncio.timeout(60):
        while "event" not in (frame := await anext(frames)):
            pass
    return frame["event"]


async def ends(frames: AsyncIterator[dict[str, str]]) -> bool:
    """Whether the stream ends by itself, without the end of the execution."""
    async with asyncio.timeout(60):
        async for frame in frames:
            assert frame.get("event") != "execution.completed"
    return True


async def test_a_stream_ends_when_its_key_is_revoked(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    key = (await client.post("/api/v1/api-keys", json={"name": "streams"})).json()
    headers = {"Authorization": f"Bearer {key['secret']}"}
    async with Client(base_url=world.url, headers=headers, timeout=60) as by_key:
        frames = stream(by_key, execution)
        assert await next_event(frames) == "execution.created"
        assert (await client.delete(key["_links"]["self"])).status_code == 204
        assert await ends(frames)
        assert (await by_key.get(execution["_links"]["events"])).status_code == 401


async def test_a_stream_ends_when_its_token_expires(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    token = mint(SECRET, user="alice", role="user", lives=timedelta(seconds=2))
    headers = {"Authorization": f"Bearer {token}"}
    async with Client(base_url=world.url, headers=headers, timeout=60) as brief:
        assert await ends(stream(brief, execution))


async def test_a_stream_ends_when_its_user_is_disabled(world: World, admin: Client) -> None:
    """The streams of others continue."""
    async with world.client("carol") as carol:
        execution = await execute(carol, await make_task(carol))
        own, theirs = stream(carol, execution), stream(admin, execution)
        assert await next_event(own) == "execution.created"
        assert await next_event(theirs) == "execution.created"
        found = (await admin.get("/api/v1/admin/users?subject=carol")).json()["items"][0]
        path = found["_links"]["self"]
        assert (await admin.patch(path, json={"is_disabled": True})).status_code == 200
        assert await ends(own)
        await append_events(world, execution, Event("execution.completed"))
        assert await next_event(theirs) == "execution.completed"


async def test_a_stream_ends_when_an_admin_s_key_loses_the_role(
    world: World, client: Client
) -> None:
    """Another gateway would see the same notification."""
    execution = await execute(client, await make_task(client))
    async with world.client("boss", role="admin") as boss:
        body = {"name": "streams", "role": "admin"}
        key = (await boss.post("/api/v1/api-keys", json=body)).json()["secret"]
    headers = {"Authorization": f"Bearer {key}"}
    async with Client(base_url=world.url, headers=headers, timeout=60) as by_key:
        frames = stream(by_key, execution)
        assert await next_event(frames) == "execution.created"
        async with world.client("boss") as demoted:
            assert (await demoted.get("/api/v1/me")).json()["role"] == "user"
        assert await ends(frames)


async def test_who_waits_needs_valid_credentials_at_the_end(world: World, client: Client) -> None:
    task = await make_task(client)
    key = (await client.post("/api/v1/api-keys", json={"name": "waits"})).json()
    headers = {"Authorization": f"Bearer {key['secret']}"}
    async with Client(base_url=world.url, headers=headers, timeout=60) as by_key:
        path = task["_links"]["execute"]
        waiting = asyncio.create_task(by_key.post(path, params={"wait": 60}, json={}))
        listed = f"/api/v1/task-executions?task_id={task['id']}"
        while not (found := (await client.get(listed)).json()["items"]):
            pass
        await client.delete(key["_links"]["self"])
        async with world.gateway.database.transaction() as session:
            row = await session.get_one(ExecutionRow, UUID(found[0]["id"]))
            row.status = "completed"
        assert (await waiting).status_code == 401


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
