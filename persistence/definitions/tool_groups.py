"""Users' named lists of tool rules."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

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
