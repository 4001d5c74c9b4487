"""Registered MCP servers: users' own, and the public ones that admins share."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.names import flush_named
from persistence.pages import Page, Window, newest
from persistence.tables.mcp_servers import McpServerRow


async def known(
    session: AsyncSession, user_id: UUID, names: Collection[str], *, only_public: bool = False
) -> Collection[str]:
    """Those of the names that mean a server to this user: one of theirs, or a public one."""
    mine = McpServerRow.user_id == user_id
    whose = McpServerRow.is_public if only_public else or_(mine, McpServerRow.is_public)
    found = await session.scalars(
        select(McpServerRow.name).where(McpServerRow.name.in_(names), whose)
    )
    return frozenset(found.all())


async def find(
    session: AsyncSession, server_id: UUID, *, lock: bool = False
) -> McpServerRow | None:
    """A server; with `lock` nobody else changes it in this transaction."""
    return await session.get(
        McpServerRow, server_id, with_for_update=lock or None, populate_existing=lock
    )


async def save(session: AsyncSession, row: McpServerRow) -> None:
    """Store a new server, or a locked one that has changed.

    Raises:
        DuplicateNameError: the user has another one of this name.
    """
    session.add(row)
    taken = f"You have an MCP server {row.name!r} already; choose another name."
    await flush_named(session, "uq_mcp_servers_user_id_name", taken)


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[McpServerRow]:
    """The user's servers and the public ones of others, newest first."""
    mine = McpServerRow.user_id == user_id
    shared = and_(McpServerRow.is_public, McpServerRow.user_id != user_id)
    return await newest(session, McpServerRow, McpServerRow.id, [mine, shared], window)


async def delete(session: AsyncSession, row: McpServerRow) -> None:
    """Forget a locked server; tasks that name it find none."""
    await session.delete(row)
    await session.flush()
