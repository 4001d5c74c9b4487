"""What users keep under names of their own: tool groups, task templates, MCP servers."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import and_
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.paging import Page, Window, newest
from persistence.definitions.unique_names import flush_named
from persistence.tables.columns import NamedRow

N = TypeVar("N", bound=NamedRow)


async def find(
    session: AsyncSession, table: type[N], row_id: UUID, *, lock: bool = False
) -> N | None:
    """One of them; with `lock` nobody else changes it in this transaction."""
    return await session.get(table, row_id, with_for_update=lock or None, populate_existing=lock)


async def save(session: AsyncSession, row: NamedRow) -> None:
    """Store a new one, or a locked one that has changed.

    Raises:
        DuplicateNameError: the user has another one of this name.
    """
    session.add(row)
    taken = f"You have {row.KIND} {row.name!r} already; choose another name."
    await flush_named(session, f"uq_{row.__tablename__}_user_id_name", taken)


async def page(session: AsyncSession, table: type[N], user_id: UUID, window: Window) -> Page[N]:
    """The user's own, and the public ones of others where there are such, newest first."""
    shown = [table.user_id == user_id]
    if (is_public := getattr(table, "is_public", None)) is not None:
        shown.append(and_(is_public, table.user_id != user_id))
    return await newest(session, table, table.id, shown, window)


async def delete(session: AsyncSession, row: NamedRow) -> None:
    """Forget a locked one; what names it finds none."""
    await session.delete(row)
    await session.flush()
