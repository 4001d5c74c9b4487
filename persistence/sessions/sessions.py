"""Sessions as the gateway creates and reads them, and their transcripts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.paging import Filters, Page, Window, matching, newest, owned_by
from persistence.sessions import lineage
from persistence.tables.sessions import MessageRow, SessionRow


async def find(session: AsyncSession, session_id: UUID) -> SessionRow | None:
    """The session unless it is deleted."""
    row = await session.get(SessionRow, session_id)
    return None if row is None or row.deleted_at is not None else row


async def lock(session: AsyncSession, session_id: UUID) -> SessionRow | None:
    """The session unless it is deleted, locked: no execution starts or ends in it meanwhile."""
    row = await session.get(
        SessionRow, session_id, with_for_update={"key_share": True}, populate_existing=True
    )
    return None if row is None or row.deleted_at is not None else row


async def create(session: AsyncSession, row: SessionRow) -> None:
    """Store a session; its times are read back."""
    session.add(row)
    await session.flush()
    await session.refresh(row)


async def rename(session: AsyncSession, row: SessionRow, title: str | None) -> None:
    """Change the title of a locked session."""
    row.title, row.updated_at = title, datetime.now(UTC)
    await session.flush()


async def set_agent(
    session: AsyncSession, row: SessionRow, slug: str | None, *, source: str, reason: str | None
) -> None:
    """Set the agent of a locked session for its next turns, or that it has none."""
    row.agent_id, row.agent_source, row.agent_reason = slug, source, reason
    row.updated_at = datetime.now(UTC)
    await session.flush()


async def delete(session: AsyncSession, row: SessionRow) -> None:
    """Mark a locked session as deleted; its executions stay readable."""
    row.deleted_at = row.updated_at = datetime.now(UTC)
    await session.flush()


async def page(
    session: AsyncSession, user_id: UUID | None, filters: Filters, window: Window
) -> Page[SessionRow]:
    """The user's sessions, or those of all users."""
    is_own = and_(SessionRow.deleted_at.is_(None), *owned_by(SessionRow.user_id, user_id))
    conditions = [and_(is_own, *matching(SessionRow, filters))]
    return await newest(session, SessionRow, SessionRow.id, conditions, window)


async def list_latest_messages(
    session: AsyncSession, session_id: UUID, *, limit: int
) -> Sequence[MessageRow]:
    """The latest `limit` messages, oldest first, without those that a reset superseded.

    For a fork they include shared messages.
    """
    conversation = await session.get(SessionRow, session_id)
    if conversation is not None and conversation.forked_from_session_id is not None:
        return await lineage.list_latest_messages(session, session_id, limit=limit)
    rows = await session.scalars(
        select(MessageRow)
        .where(MessageRow.session_id == session_id, MessageRow.superseded_at.is_(None))
        .order_by(MessageRow.seq.desc())
        .limit(limit)
    )
    return rows.all()[::-1]
