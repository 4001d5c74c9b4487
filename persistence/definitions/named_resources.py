"""Resources whose name is unique for each user: tool groups, templates, MCP servers, secrets."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import and_, or_, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import DuplicateNameError
from persistence.db.paging import Page, Window, newest
from persistence.tables.columns import NamedRow, OwnedRow, PrivateRow
from persistence.tables.definitions import McpServerRow, ToolGroupRow

N = TypeVar("N", bound=NamedRow)
P = TypeVar("P", bound=PrivateRow)


async def find(
    session: AsyncSession, table: type[N], row_id: UUID, *, lock: bool = False
) -> N | None:
    """The resource; with `lock` no other transaction changes it meanwhile."""
    return await session.get(table, row_id, with_for_update=lock or None, populate_existing=lock)


async def save(session: AsyncSession, row: NamedRow) -> None:
    """Store a new resource, or a locked one that was changed.

    Raises:
        DuplicateNameError: the user has another resource of this kind with this name.
    """
    session.add(row)
    taken = f"You already have {row.KIND} {row.name!r}; choose another name."
    await flush_unique(session, f"uq_{row.__tablename__}_user_id_name", taken)


async def page(session: AsyncSession, table: type[N], user_id: UUID, window: Window) -> Page[N]:
    """The user's resources and the public ones of other users, newest first."""
    shown = [table.user_id == user_id]
    if (is_public := getattr(table, "is_public", None)) is not None:
        shown.append(and_(is_public, table.user_id != user_id))
    return await newest(session, table, table.id, shown, window)


async def find_private(session: AsyncSession, table: type[P], user_id: UUID, name: str) -> P | None:
    """The user's resource with this name."""
    is_named = (table.user_id == user_id, table.name == name)
    return await session.scalar(select(table).where(*is_named))


async def page_private(
    session: AsyncSession, table: type[P], user_id: UUID, window: Window
) -> Page[P]:
    """The user's resources, newest first."""
    return await newest(session, table, table.id, [table.user_id == user_id], window)


async def delete(session: AsyncSession, row: OwnedRow) -> None:
    """Delete a locked resource."""
    await session.delete(row)
    await session.flush()


async def flush_unique(session: AsyncSession, index: str, taken: str) -> None:
    """Write pending rows; `taken` is the error text if this unique index refuses one.

    The index decides between two requests that use the same name at the same time.

    Raises:
        DuplicateNameError: the name is taken.
    """
    try:
        await session.flush()
    except IntegrityError as error:
        if index not in str(error.orig):
            raise
        raise DuplicateNameError(taken) from error


async def find_mcp_server_names(
    session: AsyncSession, user_id: UUID, names: Collection[str], *, only_public: bool = False
) -> Collection[str]:
    """Those of the names that are an MCP server of this user or a public one."""
    is_own = McpServerRow.user_id == user_id
    is_usable = McpServerRow.is_public if only_public else or_(is_own, McpServerRow.is_public)
    found = await session.scalars(
        select(McpServerRow.name).where(McpServerRow.name.in_(names), is_usable)
    )
    return frozenset(found.all())


_IS_OF_OTHERS = text("""
WITH RECURSIVE up AS (
    SELECT id, parent_execution_id, task_id FROM executions WHERE id = :execution_id
    UNION ALL
    SELECT e.id, e.parent_execution_id, e.task_id
    FROM executions e JOIN up ON e.id = up.parent_execution_id
)
SELECT EXISTS (SELECT FROM up JOIN tasks t ON t.id = up.task_id WHERE t.user_id <> :user_id)
""")
"""Whether an execution runs another user's task, or is a subtask of one that does."""


async def find_usable_mcp_server(
    session: AsyncSession,
    user_id: UUID,
    execution_id: UUID,
    *,
    name: str,
    server_id: UUID | None = None,
) -> McpServerRow | None:
    """The server of this name that an execution uses, or the one with this id if it still may.

    The user's own server comes first. For another user's task, only public ones count: its author
    must not choose among the servers of the user who runs it.
    """
    own = McpServerRow.user_id == user_id
    ids = {"execution_id": execution_id, "user_id": user_id}
    is_of_others = await session.scalar(_IS_OF_OTHERS, ids)
    usable = McpServerRow.is_public if is_of_others else or_(own, McpServerRow.is_public)
    wanted = McpServerRow.name == name if server_id is None else McpServerRow.id == server_id
    return await session.scalar(
        select(McpServerRow).where(usable, wanted).order_by(own.desc(), McpServerRow.id).limit(1)
    )


async def find_tool_groups(
    session: AsyncSession, user_id: UUID, names: Collection[str]
) -> Mapping[str, Sequence[str]]:
    """The rules of the user's tool groups that have one of these names."""
    if not names:
        return {}
    found = await session.execute(
        select(ToolGroupRow.name, ToolGroupRow.tools).where(
            ToolGroupRow.user_id == user_id, ToolGroupRow.name.in_(names)
        )
    )
    return {row.name: row.tools for row in found}
