"""Write and delete memory entries."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    PreconditionFailedError,
)
from domain.memory.entries import EPISODIC_LIFETIME, MOST_VALUE_BYTES, MemoryAction, MemoryType
from persistence.db.database import Database
from persistence.memory import entries, uses
from persistence.memory.entries import NewVersion
from persistence.tables.columns import read_as
from persistence.tables.memory import MemoryEntryRow, MemoryUseRow
from services.memory.access import find_owner, require_access, require_owner
from services.memory.inputs import MemoryPut
from services.memory.reading import EntryAddress, missing_entry
from services.unit_of_work import UnitOfWork

T = TypeVar("T")

NO_VERSION = 0
"""The version of an entry that does not exist, or is deleted."""

ANY_VERSION = range(1, 2**31)
"""The versions of an entry that exists."""

MOST_TRIES = 5
"""Of a write, if others change the entry meanwhile; from the second one on, it is locked before it
is read, so a further one is needed only if it was deleted completely, and written again."""

BATCH = 500
"""Expired entries that one sweep marks as deleted (chosen: they are not read in any case)."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A written entry; `is_new`: it did not exist. `version` is the one that was written."""

    row: MemoryEntryRow
    is_new: bool
    version: int


@dataclass(frozen=True, slots=True)
class EntryWriter:
    """The execution that writes, and the call of its model's tool, which may be repeated."""

    execution_id: UUID | None = None
    tool_use_id: str | None = None


NO_WRITER = EntryWriter()
"""A person or a program writes."""


Edit = Callable[[Any], tuple[MemoryPut, T]]
"""What to write, made from the present value (None: there is no entry), and a result."""


async def put_entry(
    work: UnitOfWork,
    address: EntryAddress,
    body: MemoryPut,
    *,
    expected: Collection[int] | None = None,
    writer: EntryWriter = NO_WRITER,
) -> StoredEntry:
    """Write an entry as its next version. The same content, or a repeated call, makes none.

    With `expected`, only if the entry has one of these versions.

    Raises:
        InvalidInputError: the value is null or too large, or it expires in the past.
        PermissionDeniedError: the namespace is another user's.
        PreconditionFailedError: the entry has another version.
        QuotaExceededError: the owner stores too much.
    """

    def edit(_: Any) -> tuple[MemoryPut, None]:
        return body, None

    stored, _ = await edit_entry(work, address, edit, expected=expected, writer=writer)
    return stored


async def edit_entry(
    work: UnitOfWork,
    address: EntryAddress,
    edit: Edit[T],
    *,
    expected: Collection[int] | None = None,
    writer: EntryWriter = NO_WRITER,
) -> tuple[StoredEntry, T]:
    """As `put_entry`, with a body made from the present value, which no one changes meanwhile.

    A repeated call edits the value that the first one edited, for the result, and writes nothing.
    """
    owner_id = await find_owner(work.session, work.caller, address.owner)
    await require_access(work.session, work.caller, owner_id, address.namespace, "write")
    for count in range(MOST_TRIES):
        done = await _try_edit(
            work, owner_id, address, edit, expected=expected, writer=writer, is_locked=count > 0
        )
        if done is not None:
            return done
    raise ConflictError("Others change this entry all the time; repeat the request.")


async def _try_edit(
    work: UnitOfWork,
    owner_id: UUID,
    address: EntryAddress,
    edit: Edit[T],
    *,
    expected: Collection[int] | None,
    writer: EntryWriter,
    is_locked: bool,
) -> tuple[StoredEntry, T] | None:
    """Read an entry and write its next version; None if another transaction has changed it."""
    on = work.session if is_locked else work.connected
    found = await entries.read(on, owner_id, address.namespace, address.key, is_locked=is_locked)
    if found and (written := await _find_written(work, found.row, writer)):
        _, result = edit(await _find_value_before(work.session, found.row, written))
        return StoredEntry(found.row, is_new=False, version=written.version), result
    current = found.row if found and found.is_current else None
    _require_version(current.version if current else NO_VERSION, expected)
    body, result = edit(current.value if current else None)
    size_bytes = check_content(body)
    values = _values(current, body)
    if current and _has(current, values):
        row = await entries.extend(on, current, _expiry(current, values))
        return (
            None if row is None else (StoredEntry(row, is_new=False, version=row.version), result)
        )
    await work.services.storage.check(
        work.session, owner_id, adding=size_bytes, memory_entries=int(found is None)
    )
    before = found.row if found else None
    row = await entries.write(
        on,
        before,
        _make_version(current, values, owner_id, address, writer),
        action=MemoryAction.UPDATED if current else MemoryAction.CREATED,
        actor=work.caller.actor,
        size_bytes=size_bytes,
        language=work.services.settings.memory_language,
    )
    if row is None:
        return None
    return StoredEntry(row, is_new=current is None, version=row.version), result


async def _find_written(
    work: UnitOfWork, row: MemoryEntryRow, writer: EntryWriter
) -> MemoryUseRow | None:
    """Return which version of a locked entry the writer's call wrote before a crash."""
    if writer.execution_id is None or writer.tool_use_id is None:
        return None
    return await uses.find_written(work.session, writer.execution_id, writer.tool_use_id, row.id)


async def _find_value_before(
    session: AsyncSession, row: MemoryEntryRow, written: MemoryUseRow
) -> Any:
    """Return the value that a version replaced; None if there was none.

    An entry that had expired has an earlier version, and no value.
    """
    if written.action == MemoryAction.CREATED:
        return None
    before = await entries.find_version(session, row.id, written.version - 1)
    return None if before is None else before.value


def check_content(body: MemoryPut) -> int:
    """Return the size of the value as JSON in UTF-8.

    Raises:
        InvalidInputError: the value is null or too large, or it expires in the past.
    """
    loc = ("body", "value")
    if body.value is None:
        text = "null is no value; delete the entry to forget it."
        raise InvalidInputError("The value is invalid; see errors.", [FieldProblem(loc, text)])
    size_bytes = len(json.dumps(body.value, ensure_ascii=False).encode("utf-8", "replace"))
    if size_bytes > MOST_VALUE_BYTES:
        text = (
            f"The value has {size_bytes} bytes as JSON and may have {MOST_VALUE_BYTES}; store it "
            "as an artifact, and remember its id."
        )
        raise InvalidInputError("The value is too large; see errors.", [FieldProblem(loc, text)])
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        problem = FieldProblem(("body", "expires_at"), "Use a time in the future.")
        raise InvalidInputError("The time is invalid; see errors.", [problem])
    return size_bytes


def _values(current: MemoryEntryRow | None, body: MemoryPut) -> dict[str, Any]:
    """The columns that a write sets. What the body omits stays as it is."""
    kept = MemoryType.SEMANTIC if current is None else MemoryType(current.memory_type)
    memory_type = body.memory_type or kept
    values: dict[str, Any] = {"value": body.value, "memory_type": memory_type.value}
    if body.created_by is not None or current is None:
        values["created_by"] = body.created_by
    if body.expires_at is not None:
        values["expires_at"] = body.expires_at
    return values


def _has(current: MemoryEntryRow, values: Mapping[str, Any]) -> bool:
    """Whether an entry has these values. In Python, 1 and true are equal; as JSON they are not."""
    one, other = (json.dumps(value, sort_keys=True) for value in (current.value, values["value"]))
    return one == other and all(getattr(current, name) == values[name] for name in values)


def _make_version(
    current: MemoryEntryRow | None,
    values: Mapping[str, Any],
    owner_id: UUID,
    address: EntryAddress,
    writer: EntryWriter,
) -> NewVersion:
    kept = {
        "expires_at": _expiry(current, values),
        "created_by": current.created_by if current else None,
    }
    return NewVersion(
        user_id=owner_id,
        namespace=address.namespace,
        key=address.key,
        execution_id=writer.execution_id,
        tool_use_id=writer.tool_use_id,
        **{**kept, **values},
    )


def _expiry(current: MemoryEntryRow | None, values: Mapping[str, Any]) -> datetime | None:
    """When the entry expires after a write. An expired or deleted one is not current."""
    if "expires_at" in values:
        given: datetime = values["expires_at"]
        return given
    if values["memory_type"] == MemoryType.EPISODIC:
        return datetime.now(UTC) + EPISODIC_LIFETIME
    is_kept = current is not None and current.memory_type == values["memory_type"]
    return current.expires_at if current and is_kept else None


def _require_version(version: int, expected: Collection[int] | None) -> None:
    if expected is None or version in expected:
        return
    if version == NO_VERSION:
        text = "The entry does not exist; add it instead of changing it."
    elif NO_VERSION in expected:
        text = f"The entry exists, as version {version}; change it instead of adding it."
    else:
        text = f"The entry has version {version} by now; read it, and repeat the change."
    raise PreconditionFailedError(text)


async def delete_entry(
    work: UnitOfWork,
    address: EntryAddress,
    *,
    expected: Collection[int] | None = None,
    purge: bool = False,
    writer: EntryWriter = NO_WRITER,
) -> None:
    """Delete an entry. Its versions stay readable, unless `purge` deletes them, too.

    A repeated call changes nothing.

    Raises:
        NotFoundError: there is no such entry; with `purge` it may be deleted already.
        PermissionDeniedError: the namespace is another user's, who alone may purge its entries.
        PreconditionFailedError: the entry has another version.
    """
    owner_id = await find_owner(work.session, work.caller, address.owner)
    await require_access(work.session, work.caller, owner_id, address.namespace, "write")
    locked = await entries.read(
        work.session, owner_id, address.namespace, address.key, is_locked=True
    )
    if locked is None:
        raise missing_entry(address)
    row, exists = locked.row, locked.is_current
    if await _find_written(work, row, writer) is not None:
        return
    if not (exists or purge):
        raise missing_entry(address)
    _require_version(row.version if exists else NO_VERSION, expected)
    if purge:
        await _purge(work, row)
        return
    deletion = read_as(
        NewVersion,
        row,
        deleted_at=datetime.now(UTC),
        execution_id=writer.execution_id,
        tool_use_id=writer.tool_use_id,
    )
    await entries.write(
        work.session,
        row,
        deletion,
        action=MemoryAction.DELETED,
        actor=work.caller.actor,
        size_bytes=0,
        language=work.services.settings.memory_language,
    )


async def _purge(work: UnitOfWork, row: MemoryEntryRow) -> None:
    require_owner(work.caller, row.user_id)
    await entries.delete_completely(work.session, row)
    before = {"namespace": row.namespace, "key": row.key, "version": row.version}
    entity = ("memory_entry", row.id)
    await work.record_audit("memory_entry.purge", entity, before=before, owner_id=row.user_id)


async def delete_expired(database: Database) -> int:
    """Mark entries as deleted whose time has passed; returns how many."""
    async with database.transaction() as session:
        return await entries.delete_expired(session, limit=BATCH)
