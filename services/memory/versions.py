"""Reads the versions of memory entries, which are kept when an entry is changed or deleted."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError
from persistence.memory import entries as stored
from persistence.sessions.timeline import TimelinePage, TimelineRange
from persistence.tables.memory import MemoryEntryRow, MemoryVersionRow
from services.caller import Caller
from services.memory import reading
from services.memory.reading import EntryAddress


@dataclass(frozen=True, slots=True)
class EntryVersion:
    """An entry, and the version of it that was asked for; None is the current one."""

    row: MemoryEntryRow
    version: MemoryVersionRow | None = None


async def find_version(
    session: AsyncSession, caller: Caller, address: EntryAddress, version: int | None
) -> EntryVersion:
    """Return a version of an entry, which may be deleted; None is the current version.

    Raises:
        NotFoundError: the entry has no such version, or is deleted and no version is named.
        PermissionDeniedError: the namespace is another user's.
    """
    if version is None:
        return EntryVersion(await reading.find_entry(session, caller, address))
    row = await _find_any(session, caller, address)
    found = await stored.find_version(session, row.id, version)
    if found is None:
        raise NotFoundError(f"Entry {address.key!r:.300} has no version {version}.")
    return EntryVersion(row, found)


def version_fields(version: MemoryVersionRow) -> dict[str, Any]:
    """The fields in which a version differs from its entry."""
    fields = ("version", "memory_type", "value", "created_by", "execution_id")
    return {
        **{name: getattr(version, name) for name in fields},
        "updated_at": version.created_at,
    }


async def list_versions(
    session: AsyncSession, caller: Caller, address: EntryAddress, span: TimelineRange
) -> TimelinePage[MemoryVersionRow]:
    """Return the versions of an entry, which may be deleted, oldest first."""
    row = await _find_any(session, caller, address)
    return await stored.list_versions(session, row.id, span)


async def _find_any(session: AsyncSession, caller: Caller, address: EntryAddress) -> MemoryEntryRow:
    owner_id = await reading.find_readable_owner(session, caller, address)
    row = await stored.find_any(session, owner_id, address.namespace, address.key)
    if row is None:
        raise reading.missing_entry(address)
    return row
