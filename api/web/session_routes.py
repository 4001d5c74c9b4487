"""Pages of sessions: conversations as chats."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.paging import LAST_SEQ
from api.sessions.schemas import SessionQuery
from api.web import pages, transcripts
from api.web.execution_views import LATEST, LIVE_EVENTS
from api.web.listings import make_list, read_query
from api.web.page_forms import SHOWN_ERRORS, form_values, read_message, status_for
from api.web.page_route import PageRoute
from api.web.visits import FORM_IS_OWN, Form, OwnForm, Visit, Visiting
from domain.errors import PerdureError
from persistence.db.paging import Window
from persistence.executions import queries
from persistence.executions.queries import UNFINISHED, ExecutionFilter
from persistence.sessions import sessions, timeline
from persistence.tables.sessions import SessionRow
from services import sessions as services
from services.executions import messaging
from services.executions.access import get_own_session
from services.executions.inputs import SessionCreate

router = APIRouter(prefix="/sessions", include_in_schema=False, route_class=PageRoute)

After = Annotated[int, Query(ge=0, le=LAST_SEQ)]


@router.get("")
async def list_sessions(request: Request, visit: Visiting) -> Response:
    """The sessions of the viewer, newest first."""
    query = read_query(request, SessionQuery)
    async with visit.call.gateway.database.reading() as session:
        user_id = visit.call.principal.user_id
        page = await sessions.page(session, user_id, query.filters(), query.window())
    shown = make_list(visit, query, page, page.rows)
    return pages.render("sessions.html.j2", **visit.layout, list=shown, query=query)


@router.post("", dependencies=[FORM_IS_OWN])
async def create_session(visit: Visiting) -> Response:
    """Start a conversation."""
    row = await visit.perform(partial(services.create_session, body=SessionCreate()))
    return pages.redirect(f"{router.prefix}/{row.id}")


@router.get("/{session_id}")
async def show_session(visit: Visiting, session_id: UUID) -> Response:
    """A conversation, which follows the execution that answers."""
    return await _render(visit, session_id, "session.html.j2")


@router.get("/{session_id}/updates")
async def show_updates(visit: Visiting, session_id: UUID, after: After = 0) -> Response:
    """The messages after `after`."""
    return await _render(visit, session_id, "session_updates.html.j2", after=after)


@router.post("/{session_id}/messages")
async def send_message(visit: Visiting, session_id: UUID, form: OwnForm) -> Response:
    """Send a message: the active execution reads it, or a new one answers it."""
    try:
        form.require_sent()
        body = read_message(form)
        service = partial(messaging.send_session_message, session_id=session_id, body=body)
        await visit.perform(service)
    except SHOWN_ERRORS as error:
        return await _render(visit, session_id, "session.html.j2", form=form, error=error)
    return pages.redirect(f"{router.prefix}/{session_id}#end")


@router.post("/{session_id}/delete", dependencies=[FORM_IS_OWN])
async def delete_session(visit: Visiting, session_id: UUID) -> Response:
    """Delete a session. Its executions stay readable."""
    await visit.perform(lambda work: services.delete_session(work, session_id, lambda _: None))
    return pages.redirect(router.prefix)


async def _render(
    visit: Visit,
    session_id: UUID,
    template: str,
    *,
    after: int = 0,
    form: Form | None = None,
    error: PerdureError | None = None,
) -> Response:
    async with visit.call.gateway.database.reading() as session:
        row = await get_own_session(session, visit.call.caller, session_id)
        found = await _read(session, row, after)
    values = {**form_values(form, error), "types": " ".join(LIVE_EVENTS)}
    return pages.render(template, status_for(error), **visit.layout, session=row, **found, **values)


async def _read(session: AsyncSession, row: SessionRow, after: int) -> Mapping[str, Any]:
    """The latest messages after `after`, and the execution that is active."""
    unfinished = ExecutionFilter(session_id=row.id, statuses=sorted(UNFINISHED))
    active = await queries.page(session, row.user_id, unfinished, Window(1))
    rows = await sessions.list_latest_messages(session, row.id, limit=LATEST)
    shown = [message for message in rows if message.seq > after]
    ids = transcripts.list_tool_use_ids(shown)
    execution_ids = {message.execution_id for message in shown}
    calls = await timeline.find_tool_calls(session, execution_ids, ids)
    entries = transcripts.make_entries(shown, calls)
    settled, changing = transcripts.split_settled(entries, is_live=bool(active.rows))
    return {
        "active": active.rows[0] if active.rows else None,
        "settled": settled,
        "changing": changing,
        "after": settled[-1].seq if settled else after,
        "is_whole": len(rows) < LATEST,
    }
