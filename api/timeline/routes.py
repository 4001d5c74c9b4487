"""The timeline of an execution: events (also as a stream), messages, tool calls, model calls."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.schemas import (
    EventRead,
    MemoryUseRead,
    MessageRead,
    ModelCallRead,
    ToolCallRead,
    render_memory_use,
    render_message,
    render_model_call,
    render_tool_call,
)
from api.http.paging import LAST_SEQ, Listing, TimelineQuery
from api.http.rendering import render_items
from api.http.request_context import Call, Called
from api.links import BASE
from api.timeline.streams import event_fields, respond_stream
from persistence.memory import uses
from persistence.sessions import timeline
from persistence.sessions.timeline import TimelinePage, TimelineRange
from persistence.tables.columns import Row
from services.executions.access import get_readable_execution

router = APIRouter(prefix=f"{BASE}/task-executions", tags=["executions"])

R = TypeVar("R", bound=Row)


class NumberedQuery(TimelineQuery):
    """The page of events or messages; `after` is the last `seq` that the client has."""

    after: Annotated[int | None, Field(ge=0, le=LAST_SEQ)] = None

    def span(self) -> TimelineRange:
        """The rows to read; `cursor` overrides `after`."""
        if self.cursor is None and self.after is not None:
            offset = (self.page - 1) * self.page_size
            return TimelineRange(self.page_size, after=self.after, offset=offset)
        return super().span()


@router.get(
    "/{execution_id}/events",
    responses={200: {"model": Listing[EventRead], "content": {"text/event-stream": {}}}},
)
async def list_events(
    call: Called, execution_id: UUID, query: Annotated[NumberedQuery, Query()]
) -> Response:
    """List the events; with `Accept: text/event-stream`, stream them until the end.

    `Last-Event-ID` (or `after`) resumes a stream without loss or repetition.
    """
    if "text/event-stream" in call.request.headers.get("accept", ""):
        return await respond_stream(call, execution_id, query.after)
    return await _render_part(call, execution_id, query, timeline.list_events, event_fields)


@router.get("/{execution_id}/messages", responses={200: {"model": Listing[MessageRead]}})
async def list_messages(
    call: Called, execution_id: UUID, query: Annotated[NumberedQuery, Query()]
) -> Response:
    """List the messages that an execution added to its session, oldest first."""
    return await _render_part(call, execution_id, query, timeline.list_messages, render_message)


@router.get("/{execution_id}/tool-calls", responses={200: {"model": Listing[ToolCallRead]}})
async def list_tool_calls(
    call: Called, execution_id: UUID, query: Annotated[TimelineQuery, Query()]
) -> Response:
    """List the tool calls of an execution, oldest first."""
    return await _render_part(call, execution_id, query, timeline.list_tool_calls, render_tool_call)


@router.get("/{execution_id}/model-calls", responses={200: {"model": Listing[ModelCallRead]}})
async def list_model_calls(
    call: Called, execution_id: UUID, query: Annotated[TimelineQuery, Query()]
) -> Response:
    """List all attempts of all model calls of an execution, oldest first."""
    return await _render_part(
        call, execution_id, query, timeline.list_model_calls, render_model_call
    )


@router.get("/{execution_id}/memory", responses={200: {"model": Listing[MemoryUseRead]}})
async def list_memory_uses(
    call: Called, execution_id: UUID, query: Annotated[TimelineQuery, Query()]
) -> Response:
    """List the versions of memory entries that an execution read or wrote, oldest first."""
    return await _render_part(call, execution_id, query, uses.list_uses, render_memory_use)


async def _render_part(
    call: Call,
    execution_id: UUID,
    query: TimelineQuery,
    read: Callable[[AsyncSession, UUID, TimelineRange], Awaitable[TimelinePage[R]]],
    view: Callable[[R], BaseModel | dict[str, Any]],
) -> Response:
    async with call.gateway.database.reading() as session:
        await get_readable_execution(session, call.caller, execution_id)
        page = await read(session, execution_id, query.span())
    return render_items(call, query, page, [view(row) for row in page.rows])
