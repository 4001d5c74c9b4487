"""An execution's events as Server-Sent Events, resumable by `Last-Event-ID`."""

import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from api.http import metrics
from api.http.errors import MalformedRequestError
from api.http.request_context import Call
from api.live_updates import Subscription
from domain.executions.states import TERMINAL, ExecutionStatus
from persistence.executions import events
from persistence.tables.executions import ExecutionEventRow, ExecutionRow
from services.executions.access import get_readable_execution, may_read

COMMENT_SECONDS = 15.0
"""Proxies close a connection that is idle for a minute."""

BATCH = 500
"""Events per read (chosen: a long run has some thousands)."""

_SEQ = re.compile(r"[0-9]{1,10}")

LAST_EVENTS = frozenset(f"execution.{status}" for status in TERMINAL)

_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # prevents nginx from buffering events
}


async def respond_stream(call: Call, execution_id: UUID, after: int | None) -> Response:
    """Stream the events after `Last-Event-ID`, or after `after`, until the end of the execution.

    Raises:
        MalformedRequestError: the execution has no such event.
    """
    last_id = call.request.headers.get("last-event-id")
    if last_id is not None and not _SEQ.fullmatch(last_id):
        raise MalformedRequestError(
            "Last-Event-ID must be the `id` of an event, which is a number."
        )
    after = int(last_id) if last_id is not None else after or 0
    call.become_stream()  # before the first read, so that a refused stream costs nothing more
    async with call.gateway.database.reading() as session:
        row = await get_readable_execution(session, call.caller, execution_id)
    if after > row.event_seq:
        raise MalformedRequestError(
            f"The execution has {row.event_seq} events; send the `id` of the last event that you "
            "received, or no Last-Event-ID to receive all events."
        )
    if ExecutionStatus(row.status).is_terminal and after == row.event_seq:
        # No event will follow: this status makes an EventSource stop reconnecting.
        return Response(status_code=204)
    return event_stream(call, row, after)


def event_stream(call: Call, execution: ExecutionRow, after: int) -> StreamingResponse:
    """A stream of the events after `after`, until the terminal event.

    It also ends when the credentials of the caller end, or no longer allow to read it.
    """
    body = _make_frames(call, execution, after)
    return StreamingResponse(body, media_type="text/event-stream", headers=_HEADERS)


def event_fields(row: ExecutionEventRow | SimpleNamespace) -> dict[str, Any]:
    """An event as JSON."""
    at = row.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {
        "seq": row.seq,
        "type": row.type,
        "at": at,
        "execution_id": str(row.execution_id),
        "data": row.data,
    }


async def _make_frames(call: Call, execution: ExecutionRow, after: int) -> AsyncIterator[bytes]:
    """The frames of the stream. Text is sent before the events that follow it."""
    watcher, user_id = call.gateway.watcher, call.principal.user_id
    execution_id, owner_id = execution.id, execution.user_id
    with watcher.subscribe(execution_id, user_id) as watched, metrics.STREAMS.track_inprogress():
        await watcher.watch(execution_id)
        # The first bytes show clients and proxies that the stream is open.
        yield b": open\n\n"
        sent_at = time.monotonic()
        settled_turn = 0
        while await _may_continue(call, watched, execution_id, owner_id):
            frames = _make_delta_frames(watched, settled_turn)
            rows = await _read_new_events(call, watched, execution_id, after)
            for row, frame in rows:
                frames += frame
                after, settled_turn = row.seq, _find_settled_turn(row, settled_turn)
            if frames or time.monotonic() - sent_at >= COMMENT_SECONDS:
                yield frames or b": keep-alive\n\n"
                sent_at = time.monotonic()
            if len(rows) == BATCH:
                watched.has_news = True
                continue
            # After a reset, more events can follow a terminal event.
            if rows and rows[-1][0].type in LAST_EVENTS:
                return
            silence = sent_at + COMMENT_SECONDS - time.monotonic()
            await watched.wait_for_change(max(0, min(silence, call.principal.seconds_left)))


async def _may_continue(
    call: Call, watched: Subscription, execution_id: UUID, owner_id: UUID
) -> bool:
    """Whether the credentials are still valid; checked after a change, and when they expire.

    For another user's execution, the rights are read before each batch of news.
    """
    if not call.caller.owns(owner_id):
        async with call.gateway.database.reading() as session:
            if not await may_read(session, call.caller, owner_id, execution_id):
                return False
    if not watched.has_other_rights and call.principal.seconds_left > 0:
        return True
    watched.has_other_rights = False
    return await call.is_still_allowed()


async def _read_new_events(
    call: Call, watched: Subscription, execution_id: UUID, after: int
) -> Sequence[tuple[SimpleNamespace, bytes]]:
    """The events after `after` with their frames; streams at the same event share one read."""
    if not watched.has_news:
        return []
    watched.has_news = False

    async def read() -> Sequence[tuple[SimpleNamespace, bytes]]:
        rows = await events.list_after(call.gateway.database, execution_id, after, limit=BATCH)
        return [(row, _make_frame(event_fields(row), event=row.type, seq=row.seq)) for row in rows]

    return await call.gateway.watcher.share(execution_id, after, read)


def _make_delta_frames(watched: Subscription, settled_turn: int) -> bytes:
    """Progress, and streamed text except text that arrives after the message of its turn."""
    frames = b""
    while watched.deltas:
        delta = watched.deltas.popleft()
        if (progress := delta.get("progress")) is not None:
            frames += _make_frame({"turn": delta["turn"], **progress}, event="progress")
        elif delta["turn"] > settled_turn:
            frames += _make_frame(delta, event="delta")
    return frames


def _find_settled_turn(row: SimpleNamespace, before: int) -> int:
    """The last turn with a message; a reset can decrease it."""
    turn = int(row.data.get("turn", before))
    if row.type == "turn.completed" and "error" not in row.data:
        return turn
    return min(before, turn - 1) if row.type == "turn.started" else before


def _make_frame(data: dict[str, Any], *, event: str, seq: int | None = None) -> bytes:
    """One frame; ASCII JSON contains no line breaks or invalid UTF-8."""
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode("ascii")
