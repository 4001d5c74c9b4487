"""Registered MCP servers: users' own, and the public ones that admins share."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

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
