"""Read and search memory entries."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError
from domain.memory.entries import MemoryType
from persistence.db.paging import Page, Window
from persistence.memory import entries
from persistence.memory.entries import EntryFilter
from persistence.tables.memory import MemoryEntryRow
from services.caller import Caller
from services.memory.access import find_owner, list_granted, require_access
from services.unit_of_work import Services


@dataclass(frozen=True, slots=True)
class EntryAddress:
    """Which entry is meant. `owner` is the subject of its user; None is the caller."""

    namespace: str
    key: str
    owner: str | None = None


async def find_entry(
    session: AsyncSession, caller: Caller, address: EntryAddress
) -> MemoryEntryRow:
    """Return the current version of an entry that the caller may read.

    Raises:
        NotFoundError: there is no such entry, or it is deleted or has expired.
        PermissionDeniedError: the namespace is another user's.
    """
    owner_id = await find_readable_owner(session, caller, address)
    row = await entries.find(session, owner_id, address.namespace, address.key)
    if row is None:
        raise missing_entry(address)
    return row


async def find_readable_owner(session: AsyncSession, caller: Caller, address: EntryAddress) -> UUID:
    """Return the user whose entry is meant, which the caller may read."""
    owner_id = await find_owner(session, caller, address.owner)
    await require_access(session, caller, owner_id, address.namespace, "read")
    return owner_id


def missing_entry(address: EntryAddress) -> NotFoundError:
    """The error for an entry that does not exist."""
    return NotFoundError(f"There is no entry {address.key!r:.300} in {address.namespace!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryQuery:
    """Which entries to list. `owner` is the subject of their user; None is the caller."""

    owner: str | None = None
    namespace_prefix: str | None = None
    memory_type: MemoryType | None = None
    words: str | None = None
    """Only entries that contain these words, best first."""
    within: Collection[str] | None = None
    """Only these namespaces of the caller and those below them; None for all."""


async def list_entries(
    services: Services, session: AsyncSession, caller: Caller, query: MemoryQuery, window: Window
) -> Page[MemoryEntryRow]:
    """Return a page of entries that the caller may read, newest first unless they are searched."""
    owner_id = await find_owner(session, caller, query.owner)
    granted = await list_granted(session, caller, owner_id)
    wanted = EntryFilter(
        user_id=owner_id,
        namespace_prefix=query.namespace_prefix,
        memory_type=query.memory_type,
        within=query.within if granted is None else granted,
    )
    if query.words is None:
        return await entries.page(session, wanted, window)
    language = services.settings.memory_language
    return await entries.search(session, wanted, query.words, language=language, window=window)
