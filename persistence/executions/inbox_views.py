"""Saved views of the inbox."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from persistence.tables.people import InboxViewRow


async def list_all(session: AsyncSession, user_id: UUID) -> Sequence[InboxViewRow]:
    """The user's views, oldest first."""
    is_own = InboxViewRow.user_id == user_id
    found = await session.scalars(select(InboxViewRow).where(is_own).order_by(InboxViewRow.id))
    return found.all()


async def put(
    session: AsyncSession, user_id: UUID, name: str, filters: Mapping[str, Any]
) -> InboxViewRow:
    """Create or replace the view of this name."""
    values = {"filters": dict(filters), "updated_at": func.now()}
    stored = await session.scalars(
        insert(InboxViewRow)
        .values(id=new_id(), user_id=user_id, name=name, **values)
        .on_conflict_do_update(index_elements=["user_id", "name"], set_=values)
        .returning(InboxViewRow)
        .execution_options(populate_existing=True)
    )
    return stored.one()
