"""Conversations and their transcripts, as they are read."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence import lineage
from persistence.pages import Page, Window, newest
from persistence.tables.sessions import MessageRow, SessionRow


async def find(session: AsyncSession, session_id: UUID) -> SessionRow | None:
    """The conversation unless it is deleted."""
    row = await session.get(SessionRow, session_id)
    return None if row is None or row.deleted_at is not None else row


async def lock(session: AsyncSession, session_id: UUID) -> SessionRow | None:
    """The conversation unless it is deleted, locked: nobody starts anything in it meanwhile."""
    row = await session.get(SessionRow, session_id, with_for_update=True, populate_existing=True)
    return None if row is None or row.deleted_at is not None else row


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[SessionRow]:
    """The user's conversations."""
    condition = and_(SessionRow.user_id == user_id, SessionRow.deleted_at.is_(None))
    return await newest(session, SessionRow, SessionRow.id, [condition], window)


async def latest_messages(
    session: AsyncSession, session_id: UUID, *, limit: int
) -> Sequence[MessageRow]:
    """The latest `limit` messages, oldest first, without what a reset superseded.

    Of a fork they may be those that it shares.
    """
    conversation = await session.get(SessionRow, session_id)
    if conversation is not None and conversation.forked_from_session_id is not None:
        return await lineage.latest(session, session_id, limit=limit)
    rows = await session.scalars(
        select(MessageRow)
        .where(MessageRow.session_id == session_id, MessageRow.superseded_at.is_(None))
        .order_by(MessageRow.seq.desc())
        .limit(limit)
    )
    return rows.all()[::-1]
