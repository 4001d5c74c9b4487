"""What the pages of an execution show, read from the database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.executions.schemas import render_execution, render_model_call
from api.timeline.streams import event_fields
from api.web import transcripts
from api.web.visits import Visit
from domain.executions.signals import SignalKind
from domain.executions.states import PREREQUISITES, ExecutionStatus
from persistence.db.paging import Window
from persistence.executions import input_requests, signals, subtasks
from persistence.executions.visibility import find_unreadable
from persistence.reporting import spans
from persistence.sessions import artifacts, timeline
from persistence.sessions.timeline import TimelineRange
from persistence.tables.executions import ExecutionRow
from services.executions.access import get_readable_execution

LATEST = 80
"""Messages that a page shows at once (chosen: some 300 kB)."""

LISTED = 100
"""Model calls or events on a page."""

LIVE_EVENTS = (
    "execution.created", "execution.started", "execution.status_changed", "execution.reset",
    "execution.completed", "execution.failed", "execution.cancelled",
    "turn.started", "turn.completed", "message.appended",
    "tool.started", "tool.completed", "tool.changed", "tool.denied",
    "input.requested", "input.answered", "input.expired", "input.reminded", "input.cancelled",
    "subtask.started", "subtask.completed", "budget.reserved", "budget.exceeded",
    "report.ready", "artifact.saved",
)  # fmt: skip
"""Events after which a page reads what changed."""


async def read_head(visit: Visit, session: AsyncSession, execution_id: UUID) -> dict[str, Any]:
    """The execution, and what the head of each of its pages shows."""
    call = visit.call
    row = await get_readable_execution(session, call.caller, execution_id)
    unreadable = await find_unreadable(
        session, task_ids=[row.task_id], session_ids=[row.session_id], by=call.caller.reader_id
    )
    requests = await input_requests.list_open(session, execution_id)
    is_ended = ExecutionStatus(row.status).is_terminal
    unread = [] if is_ended else await signals.list_unread(session, execution_id)
    return {
        "execution": render_execution(call, row, unreadable),
        "is_own": call.caller.owns(row.user_id),
        "is_ended": is_ended,
        "is_pausing": row.pause_requested_at is not None,
        "is_finishing": any(signal.kind == SignalKind.FINISH for signal in unread),
        "unread": [
            signal.payload["content"] for signal in unread if signal.kind == SignalKind.MESSAGE
        ],
        "requests": [request for request, _ in requests],
        "temporal": links.temporal_page(call, row.workflow_id),
        "waits_for_others": row.status_reason == PREREQUISITES,
        "row": row,
    }


async def read_transcript(
    session: AsyncSession, row: ExecutionRow, after: int | None
) -> Mapping[str, Any]:
    """The messages after `after`, or the latest ones, split for live updates."""
    span = TimelineRange(LATEST, after=after)
    page = await timeline.list_messages(session, row.id, span)
    earlier = 0
    if after is None and page.next_after is not None:
        earlier = page.total - LATEST
        page = await timeline.list_messages(session, row.id, TimelineRange(LATEST, offset=earlier))
    ids = transcripts.list_tool_use_ids(page.rows)
    calls = await timeline.find_tool_calls(session, {row.id}, ids)
    entries = transcripts.make_entries(page.rows, calls)
    is_live = not ExecutionStatus(row.status).is_terminal and page.next_after is None
    settled, changing = transcripts.split_settled(entries, is_live=is_live)
    last = settled[-1].seq if settled else after
    return {
        "settled": settled,
        "changing": changing,
        "earlier": earlier,
        "later": page.next_after,
        "is_live": is_live,
        # With nothing to show yet, the next update reads from the beginning.
        "after": last or 0,
    }


async def read_costs(session: AsyncSession, row: ExecutionRow) -> Mapping[str, Any]:
    """The model calls, and the largest cost of one."""
    page = await timeline.list_model_calls(session, row.id, TimelineRange(LISTED))
    if page.next_after is not None:
        offset = page.total - LISTED
        page = await timeline.list_model_calls(
            session, row.id, TimelineRange(LISTED, offset=offset)
        )
    calls = [render_model_call(call) for call in page.rows]
    largest = max((call.cost_usd or 0 for call in calls), default=0)
    return {"calls": calls, "largest": largest, "left_out": page.total - len(calls)}


async def read_tree(session: AsyncSession, row: ExecutionRow) -> Mapping[str, Any]:
    """The execution and its subtasks at all levels."""
    found: Sequence[Mapping[str, Any]] = await subtasks.read_tree(session, row.id)
    return {
        "nodes": found[: subtasks.LARGEST_TREE],
        "is_truncated": len(found) > subtasks.LARGEST_TREE,
    }


async def read_events(
    session: AsyncSession, row: ExecutionRow, after: int | None
) -> Mapping[str, Any]:
    """Events, oldest first; above the first ones, a picture of all steps."""
    page = await timeline.list_events(session, row.id, TimelineRange(LISTED, after=after))
    events = [event_fields(event) for event in page.rows]
    until = row.completed_at or datetime.now(UTC)
    steps = await spans.read_spans(session, row.id, until) if after is None else ()
    ends = (row.started_at or row.created_at, until)
    return {"events": events, "later": page.next_after, "steps": steps, "ends": ends}


async def read_artifacts(session: AsyncSession, row: ExecutionRow) -> Mapping[str, Any]:
    """The files that the execution and its subtasks saved, newest first."""
    page = await artifacts.page(session, row.id, Window(LISTED))
    tree = await subtasks.read_tree(session, row.id)
    titles = {node["id"]: node["title"] for node in tree if node["id"] != row.id}
    saved = await artifacts.list_newest(session, list(titles), limit=LISTED)
    return {"artifacts": page.rows, "saved_by_subtasks": saved, "titles": titles}
