"""Grants: which namespaces of a user others may read or write."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.db.paging import Page, Window, newest
from persistence.definitions.named_resources import flush_unique
from persistence.tables.memory import MemoryGrantRow


async def find(session: AsyncSession, grant_id: UUID) -> MemoryGrantRow | None:
    """The grant."""
    return await session.get(MemoryGrantRow, grant_id)


async def create(session: AsyncSession, row: MemoryGrantRow) -> None:
    """Store a new grant.

    Raises:
        DuplicateNameError: there is one for this user and namespace.
    """
    session.add(row)
    taken = f"You have granted {row.namespace!r} to this user already; delete that grant first."
    await flush_unique(session, "uq_memory_grants_user_id_grantee_id_namespace", taken)


async def page(session: AsyncSession, user_id: UUID, window: Window) -> Page[MemoryGrantRow]:
    """The grants that a user gave or received, newest first."""
    row = MemoryGrantRow
    branches = [row.user_id == user_id, (row.grantee_id == user_id) & (row.user_id != user_id)]
    return await newest(session, row, row.id, branches, window)


async def list_between(
    session: AsyncSession, owner_id: UUID, grantee_id: UUID
) -> Sequence[MemoryGrantRow]:
    """What one user granted to another."""
    rows = await session.scalars(
        select(MemoryGrantRow).where(
            MemoryGrantRow.user_id == owner_id, MemoryGrantRow.grantee_id == grantee_id
        )
    )
    return rows.all()
