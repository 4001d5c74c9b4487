"""Which versions of entries an execution read or wrote."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.ids import new_id
from domain.memory.entries import MemoryAction
from persistence.sessions.timeline import TimelinePage, TimelineRange, read_by_position
from persistence.tables.memory import MemoryEntryRow, MemoryUseRow


async def record_reads(
    session: AsyncSession,
    execution_id: UUID,
    tool_use_id: str,
    read: Sequence[tuple[MemoryEntryRow, int]],
    action: MemoryAction,
) -> None:
    """Record the entries that a call returned, each with the version; a repeat changes nothing."""
    if not read:
        return
    values = [
        {
            "id": new_id(),
            "execution_id": execution_id,
            "tool_use_id": tool_use_id,
            "entry_id": entry.id,
            "namespace": entry.namespace,
            "key": entry.key,
            "version": version,
            "action": action,
        }
        for entry, version in read
    ]
    await session.execute(insert(MemoryUseRow).values(values).on_conflict_do_nothing())


_WRITES = (MemoryAction.CREATED, MemoryAction.UPDATED, MemoryAction.DELETED)


async def find_written(
    session: AsyncSession, execution_id: UUID, tool_use_id: str, entry_id: UUID | None = None
) -> MemoryUseRow | None:
    """A version that a call wrote before a crash interrupted it, of this entry or of any."""
    row = MemoryUseRow
    conditions = [row.execution_id == execution_id, row.tool_use_id == tool_use_id]
    conditions += [row.action.in_(_WRITES)] if entry_id is None else [row.entry_id == entry_id]
    return await session.scalar(select(row).where(*conditions).limit(1))


async def list_uses(
    session: AsyncSession, execution_id: UUID, span: TimelineRange
) -> TimelinePage[MemoryUseRow]:
    """What an execution read and wrote, oldest first; the cursor is the position in the list."""
    condition = MemoryUseRow.execution_id == execution_id
    return await read_by_position(session, MemoryUseRow, condition, (MemoryUseRow.id,), span)
