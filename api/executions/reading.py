"""Pages of executions as a caller reads them, for the routes of several features."""

from collections.abc import Sequence

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.schemas import ExecutionRead
from api.executions.views import render_execution
from api.http.paging import ListQuery
from api.http.rendering import render_items
from api.http.request_context import Call
from persistence.db.paging import Page
from persistence.executions.visibility import find_unreadable
from persistence.tables.executions import ExecutionRow


async def readable_views(
    session: AsyncSession, call: Call, rows: Sequence[ExecutionRow]
) -> list[ExecutionRead]:
    """Return executions with links only to what the caller can read."""
    unreadable = await find_unreadable(
        session,
        task_ids=[row.task_id for row in rows],
        session_ids=[row.session_id for row in rows],
        by=call.caller.reader_id,
    )
    return [render_execution(call, row, unreadable) for row in rows]


async def render_page(
    session: AsyncSession, call: Call, query: ListQuery, page: Page[ExecutionRow]
) -> Response:
    """Return a page of executions."""
    return render_items(call, query, page, await readable_views(session, call, page.rows))
