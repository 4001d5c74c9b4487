"""Sessions: conversations and their transcripts."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links, views
from api.executions.schemas import ExecutionRead, MessageBody
from api.executions.waiting import ACCEPTED, Wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.paging import Listing, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, etag, require_match, single, to_json
from api.sessions.schemas import (
    MessageQuery,
    SessionCreate,
    SessionQuery,
    SessionRead,
    SessionUpdate,
    SessionWork,
    Transcript,
)
from domain.errors import ExecutionActiveError, NotFoundError
from persistence.executions import queries
from persistence.ledger import audit
from persistence.sessions import sessions
from persistence.sessions.sessions import SessionFilter
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from services.definitions import inline_work
from services.executions.messaging import send_message_to_session, start_session_work
from services.executions.starting import Started, accepted

router = APIRouter(prefix="/sessions", tags=["sessions"])

NAMED = 3
"""Maximum number of executions in an error message (chosen)."""


@router.post("", status_code=201, responses={201: {"model": SessionRead}})
async def create_session(
    call: Called, body: Annotated[SessionCreate, Depends(JsonBody(SessionCreate, optional=True))]
) -> Response:
    """Create an interactive session, which continues across executions."""

    async def create(session: AsyncSession) -> tuple[Response, None]:
        user_id = call.principal.user_id
        options = body.sdk_options.model_dump(mode="json", exclude_unset=True)
        agent = await inline_work.checked_agent(session, call, body.agent_id, body.sdk_options)
        row = SessionRow(
            user_id=user_id,
            name=f"Conversation with {agent.name}" if agent else "Conversation",
            title=body.title,
            agent_id=body.agent_id,
            sdk_options=options,
            is_interactive=True,
        )
        await sessions.create(session, row)
        after = {"agent_id": row.agent_id, "title": row.title}
        await audit.record(session, call.actor, "session.create", ("session", row.id), after=after)
        read = views.session(row)
        headers = {"Location": read.links["self"], "ETag": etag(to_json(read))}
        return answer(read, 201, headers), None

    return (await run_once(call, create)).response


@router.get("", responses={200: {"model": Listing[SessionRead]}})
async def list_sessions(call: Called, query: Annotated[SessionQuery, Query()]) -> Response:
    """List your sessions, newest first."""
    narrowed = SessionFilter(query.is_interactive, query.agent_id)
    async with call.gateway.database.reading() as session:
        user_id = call.principal.user_id
        page = await sessions.page(session, user_id, narrowed, query.window())
    return answer(listing(call.request, query, page, [views.session(row) for row in page.rows]))


@router.get("/{session_id}", responses={200: {"model": SessionRead}})
async def get_session(call: Called, session_id: UUID) -> Response:
    """Get a session."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, session_id)
    return single(call.request, views.session(row))


@router.patch("/{session_id}", responses={200: {"model": SessionRead}})
async def update_session(
    call: Called,
    session_id: UUID,
    update: Annotated[SessionUpdate, Depends(JsonBody(SessionUpdate))],
) -> Response:
    """Change or remove the title of a session."""
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, session_id, lock=True)
        require_match(call.request, views.session(row))
        before, after = {"title": row.title}, {"title": update.title}
        await sessions.rename(session, row, update.title)
        await audit.record(
            session,
            call.actor,
            "session.update",
            ("session", session_id),
            before=before,
            after=after,
            owner_id=row.user_id,
        )
    read = views.session(row)
    return answer(read, headers={"ETag": etag(to_json(read))})


@router.delete("/{session_id}", status_code=204)
async def delete_session(call: Called, session_id: UUID) -> Response:
    """Delete a session. Its executions remain readable."""
    async with call.gateway.database.transaction() as session:
        row = await _own(session, call, session_id, lock=True)
        require_match(call.request, views.session(row))
        _require_ended(await queries.unfinished_of(session, session_id, limit=NAMED + 1))
        await sessions.delete(session, row)
        await audit.record(
            session,
            call.actor,
            "session.delete",
            ("session", session_id),
            before={"name": row.name, "title": row.title},
            owner_id=row.user_id,
        )
    return Response(status_code=204)


@router.get("/{session_id}/messages", responses={200: {"model": Transcript}})
async def list_session_messages(
    call: Called, session_id: UUID, query: Annotated[MessageQuery, Query()]
) -> Response:
    """Get the latest messages of a session, oldest first."""
    async with call.gateway.database.reading() as session:
        await _own(session, call, session_id)
        rows = await sessions.latest_messages(session, session_id, limit=query.limit)
    path = links.session(session_id)
    return answer(
        Transcript(
            items=[views.message(row) for row in rows],
            links={"self": path["messages"], "session": path["self"]},
        )
    )


@router.post("/{session_id}/messages", status_code=202, responses=ACCEPTED)
async def say(
    call: Called,
    session_id: UUID,
    body: Annotated[MessageBody, Depends(JsonBody(MessageBody))],
    wait: Wait = 0,
) -> Response:
    """Send a message to a session. The active execution receives it, or a new one starts."""

    async def begin(session: AsyncSession) -> Started:
        conversation = await _own(session, call, session_id, lock=True)
        return await send_message_to_session(session, call, conversation, body.content)

    return await accepted(call, begin, wait)


@router.post(
    "/{session_id}/tasks",
    status_code=201,
    responses={
        200: {
            "model": ExecutionRead,
            "description": "The execution has ended or waits for a person.",
        },
        201: {"model": ExecutionRead},
    },
)
async def add_work(
    call: Called,
    session_id: UUID,
    body: Annotated[SessionWork, Depends(JsonBody(SessionWork))],
    wait: Wait = 0,
) -> Response:
    """Start an execution of an agent in a session, after the active executions have ended."""

    async def begin(session: AsyncSession) -> Started:
        conversation = await _own(session, call, session_id)
        return await start_session_work(session, call, conversation, body)

    return await accepted(call, begin, wait, status=201)


def _require_ended(unfinished: Sequence[ExecutionRow]) -> None:
    """Check that no execution of the session is active or waiting.

    Raises:
        ExecutionActiveError: there is one; the message lists the first ones.
    """
    if unfinished:
        told = ", ".join(f"{row.id} ({_standing(row)})" for row in unfinished[:NAMED])
        more = " and others" if len(unfinished) > NAMED else ""
        raise ExecutionActiveError(
            f"Executions of this session have not ended: {told}{more}. Cancel them first."
        )


def _standing(row: ExecutionRow) -> str:
    return f"{row.status}: {row.status_reason}" if row.status_reason else row.status


async def _own(
    session: AsyncSession, call: Call, session_id: UUID, *, lock: bool = False
) -> SessionRow:
    read = sessions.lock if lock else sessions.find
    row = await read(session, session_id)
    if row is None:
        raise NotFoundError(f"Session {session_id} does not exist.")
    call.require_own(row.user_id, "session")
    return row
