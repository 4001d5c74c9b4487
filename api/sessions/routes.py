"""Routes of sessions: conversations with their transcripts."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.executions.schemas import render_message
from api.executions.waiting import ACCEPTED, Wait, start_and_wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.oversight import choose_owner
from api.http.paging import Listing
from api.http.rendering import if_match, render_changed, render_created, render_page
from api.http.request_context import Called
from api.http.resource_routes import ResourceRoutes, path_key
from api.http.responses import answer
from api.http.schemas import from_row, view_of
from api.links import BASE
from api.sessions.schemas import (
    MessageQuery,
    SessionQuery,
    SessionRead,
    SessionWorkBody,
    SessionWorkRead,
    Transcript,
    render_session_work,
)
from persistence.sessions import sessions
from services import sessions as services
from services.executions import messaging
from services.executions.access import get_own_session
from services.executions.inputs import MessageBody, SessionCreate, SessionUpdate, SessionWork

router = APIRouter(prefix=f"{BASE}/sessions", tags=["sessions"])

render_session = view_of(SessionRead)


routes = ResourceRoutes(
    router, "session", SessionRead, render_session, "/{session_id}", path_key("session_id")
)
routes.add_get(get_own_session, "Get a session.")
routes.add_delete(services.delete_session, "Delete a session; its executions stay readable.")


@router.post("", status_code=201, responses={201: {"model": SessionRead}})
async def create_session(
    call: Called, body: Annotated[SessionCreate, Depends(JsonBody(SessionCreate, optional=True))]
) -> Response:
    """Create an interactive session: a conversation of any number of executions."""
    return await run_service(
        call, partial(services.create_session, body=body), render_created(render_session)
    )


@router.get("", responses={200: {"model": Listing[SessionRead]}})
async def list_sessions(call: Called, query: Annotated[SessionQuery, Query()]) -> Response:
    """List your sessions, newest first."""
    user_id = await choose_owner(call, query)
    async with call.gateway.database.reading() as session:
        page = await sessions.page(session, user_id, query.filters(), query.window())
    return render_page(call, query, page, render_session)


@router.patch("/{session_id}", responses={200: {"model": SessionRead}})
async def update_session(
    call: Called,
    session_id: UUID,
    body: Annotated[SessionUpdate, Depends(JsonBody(SessionUpdate))],
) -> Response:
    """Change the title of a session, or the agent of its next turns."""
    check = if_match(call, render_session)
    service = partial(
        services.update_session, session_id=session_id, update=body, precondition=check
    )
    return await run_service(call, service, render_changed(render_session))


@router.get("/{session_id}/messages", responses={200: {"model": Transcript}})
async def list_session_messages(
    call: Called, session_id: UUID, query: Annotated[MessageQuery, Query()]
) -> Response:
    """The latest messages of a session, oldest first."""
    async with call.gateway.database.reading() as session:
        await get_own_session(session, call.caller, session_id)
        rows = await sessions.list_latest_messages(session, session_id, limit=query.limit)
    items = [render_message(row) for row in rows]
    return answer(from_row(Transcript, None, session_id=session_id, items=items))


@router.post("/{session_id}/messages", status_code=202, responses=ACCEPTED)
async def send_session_message(
    call: Called,
    session_id: UUID,
    body: Annotated[MessageBody, Depends(JsonBody(MessageBody))],
    wait: Wait = 0,
) -> Response:
    """Send a message: the active execution reads it, or a new execution answers it."""
    service = partial(messaging.send_session_message, session_id=session_id, body=body)
    return await start_and_wait(call, service, wait)


@router.post(
    "/{session_id}/tasks",
    status_code=201,
    responses={
        200: {"model": SessionWorkRead, "description": "It has ended, or it waits for a person."},
        201: {"model": SessionWorkRead},
    },
)
async def start_session_work(
    call: Called,
    session_id: UUID,
    body: Annotated[SessionWork, Depends(SessionWorkBody(SessionWork))],
    wait: Wait = 0,
) -> Response:
    """Give an agent work in a session; it starts when the active execution has ended."""
    service = partial(messaging.start_session_work, session_id=session_id, body=body)
    return await start_and_wait(call, service, wait, status=201, view=render_session_work)
