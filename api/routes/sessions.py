"""Sessions: conversations with their transcripts."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from api import links, views
from api.calls import Call, Called
from api.pages import Listing, ListQuery, listing
from api.responses import answer, single
from api.schemas.executions import MessageRead
from api.schemas.sessions import SessionRead
from api.schemas.values import Read
from domain.errors import NotFoundError
from persistence import sessions
from persistence.tables.sessions import SessionRow

router = APIRouter(prefix="/sessions", tags=["sessions"])

LATEST = 100
MOST = 1_000
"""Messages of one answer (chosen: a thousand of 2 KB are 2 MB)."""


class MessageQuery(BaseModel):
    """How many of the latest messages."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST)] = LATEST


class Transcript(Read):
    """The latest messages, oldest first."""

    items: list[MessageRead]


@router.get("", responses={200: {"model": Listing}})
async def list_sessions(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """My conversations, newest first."""
    async with call.gateway.database.reading() as session:
        page = await sessions.page(session, call.principal.user_id, query.window())
    return answer(listing(call.request, query, page, [views.session(row) for row in page.rows]))


@router.get("/{session_id}", responses={200: {"model": SessionRead}})
async def get_session(call: Called, session_id: UUID) -> Response:
    """One conversation."""
    async with call.gateway.database.reading() as session:
        row = await _own(session, call, session_id)
    return single(call.request, views.session(row))


@router.get("/{session_id}/messages", responses={200: {"model": Transcript}})
async def list_session_messages(
    call: Called, session_id: UUID, query: Annotated[MessageQuery, Query()]
) -> Response:
    """The latest messages of a conversation, oldest first."""
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


async def _own(session: AsyncSession, call: Call, session_id: UUID) -> SessionRow:
    row = await sessions.find(session, session_id)
    if row is None:
        raise NotFoundError(f"There is no session {session_id}.")
    call.require_own(row.user_id, "session")
    return row
