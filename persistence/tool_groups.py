"""Users' named lists of tool rules."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.names import flush_named
from persistence.pages import Page, Window, newest
from persistence.tables.tool_groups import ToolGroupRow


async def of_names(
    session: AsyncSession, user_id: UUID, names: Collection[str]
) -> Mapping[str, Sequence[str]]:
    """The rules of those of the user's groups that have one of these names."""
    if not names:
        return {}
    found = await session.execute(
        select(ToolGroupRow.name, ToolGroupRow.tools).where(
            ToolGroupRow.user_id == user_id, ToolGroupRow.name.in_(names)
        )
    )
    return {row.name: row.tools for row in found}


async def find(session: AsyncSession, group_id: UUID, *, lock: bool = False) -> ToolGroupRow | None:
    """A group; with `lock` nobody else changes it in this transaction."""
    return await session.get(ToolGroupRow, group_id, with_for_update=lock or None)


async def save(session: AsyncSession, row: ToolGroupRow) -> None:
    """Store a new group, or a locked one that has changed.

    Raises:
        DuplicateNameError: the user has another one of this name.
    """
    session.add(row)
    taken = f"You have a tool group {row.name!r} already; choose another name."
    await flush_named(session, "uq_tool_groups_user_id_name", taken)


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[ToolGroupRow]:
    """The user's groups, newest first."""
    mine = ToolGroupRow.user_id == user_id
    return await newest(session, ToolGroupRow, ToolGroupRow.id, [mine], window)


async def delete(session: AsyncSession, row: ToolGroupRow) -> None:
    """Delete a locked group; tasks that named it have its rules."""
    await session.delete(row)
    await session.flush()
