"""Seals the audit log and verifies its chain.

Entries are inserted without a seal: a chain within each transaction would make all transactions
wait for each other. A trigger adds each entry to `audit_unsealed`, from which committed entries are
sealed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.audit_chain import GENESIS, Entry, link
from persistence.db.paging import COUNTED
from persistence.tables.ledger import AuditSealRow, AuditUnsealedRow

SEALER_LOCK = 0x7065726475726501
"""The advisory lock of sealing ("perdure", 1)."""

_FIELDS = """a.id, a.at, a.actor_id, a.owner_id, a.action, a.entity_type, a.entity_id,
    a.request_id, a.address, CAST(a.before AS text) AS before, CAST(a.after AS text) AS after"""

TAKE = text(f"""
WITH taken AS (
    DELETE FROM audit_unsealed u USING audit_log found
    WHERE found.id = u.audit_id
        AND u.audit_id IN (SELECT audit_id FROM audit_unsealed ORDER BY audit_id LIMIT :batch)
    RETURNING u.audit_id
)
SELECT {_FIELDS} FROM audit_log a JOIN taken ON taken.audit_id = a.id ORDER BY a.id
""")  # noqa: S608 - columns of ours

SEAL = text("""
INSERT INTO audit_seals (seq, audit_id, hash)
SELECT :last + n, sealed.audit_id, sealed.hash
FROM ROWS FROM (unnest(CAST(:ids AS uuid[])), unnest(CAST(:hashes AS bytea[])))
    WITH ORDINALITY AS sealed (audit_id, hash, n)
""")

SEALED = text(f"""
SELECT s.seq, s.hash, s.audit_id, {_FIELDS}
FROM audit_seals s LEFT JOIN audit_log a ON a.id = s.audit_id
WHERE s.seq >= :first ORDER BY s.seq LIMIT :count
""")  # noqa: S608 - columns of ours

UNCHAINED = text("""
SELECT a.id FROM audit_log a
WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.audit_id = a.id)
    AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.audit_id = a.id)
LIMIT 1
""")
"""An entry that was inserted without the trigger; one statement sees one moment."""

LOST = text("""
SELECT u.audit_id FROM audit_unsealed u
WHERE NOT EXISTS (SELECT FROM audit_log a WHERE a.id = u.audit_id) LIMIT 1
""")
"""An entry that was deleted before it was sealed."""

CHUNK = 500
"""Seals read and hashed at a time: this blocks the event loop for 10 ms (measured)."""


class Fault(StrEnum):
    """Why the chain is broken."""

    SEAL_MISSING = "seal_missing"
    ENTRY_MISSING = "entry_missing"
    HASH_MISMATCH = "hash_mismatch"
    ENTRY_UNCHAINED = "entry_unchained"


@dataclass(frozen=True, slots=True)
class Break:
    """Where the chain is broken. `seq` is None for an entry outside of the chain."""

    fault: Fault
    seq: int | None
    audit_id: UUID | None


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain at some time, stored elsewhere."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An expected head, and the hash that was found; None if there is no such seal."""

    expected: Head
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class Verification:
    """The result for the seals from `from_seq` to `to_seq`.

    `next_seq` is the next seal to verify, None at the end or if the chain is broken.
    `unsealed` stops at `paging.COUNTED`.
    """

    from_seq: int
    to_seq: int
    broken: Break | None
    next_seq: int | None
    head: AuditSealRow | None
    mismatch: Mismatch | None
    unsealed: int


async def seal(session: AsyncSession, *, batch: int) -> int:
    """Seal up to `batch` committed entries; 0 if there are none, or another process seals."""
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(SEALER_LOCK))):
        return 0
    taken = (await session.execute(TAKE, {"batch": batch})).all()
    if not taken:
        return 0
    last = await find_head(session)
    previous = last.hash if last else GENESIS
    hashes = []
    for row in taken:
        previous = link(previous, _entry(row))
        hashes.append(previous)
    sealed = {
        "last": last.seq if last else 0,
        "ids": [row.id for row in taken],
        "hashes": hashes,
    }
    await session.execute(SEAL, sealed)
    return len(taken)


async def find_head(session: AsyncSession) -> AuditSealRow | None:
    """The newest seal, if there is one."""
    return await session.scalar(select(AuditSealRow).order_by(AuditSealRow.seq.desc()).limit(1))


async def verify(
    session: AsyncSession, from_seq: int, *, limit: int, expected: Head | None = None
) -> Verification:
    """Verify up to `limit` seals from `from_seq`; the seal before is trusted.

    At the end of the chain, entries outside of it are searched too.
    """
    newest = await find_head(session)
    end = newest.seq if newest else 0
    last = min(end, from_seq + limit - 1)
    to_seq, broken = await _walk(session, from_seq, last)
    if broken is None and last == end:
        broken = await _find_break_outside(session)
    return Verification(
        from_seq=from_seq,
        to_seq=to_seq,
        broken=broken,
        next_seq=None if broken or last == end else last + 1,
        head=newest,
        mismatch=await _find_mismatch(session, expected) if expected else None,
        unsealed=await _count_unsealed(session),
    )


async def _walk(session: AsyncSession, from_seq: int, last: int) -> tuple[int, Break | None]:
    """The last valid seal, and the break before `last`, if there is one."""
    previous, expected = GENESIS, from_seq
    if from_seq > 1:
        before = await session.get(AuditSealRow, from_seq - 1)
        if before is None:
            return from_seq - 1, Break(Fault.SEAL_MISSING, from_seq - 1, None)
        previous = before.hash
    while expected <= last:
        count = min(CHUNK, last - expected + 1)
        rows = (await session.execute(SEALED, {"first": expected, "count": count})).all()
        for row in rows:
            if fault := _fault(row, expected, previous):
                audit_id = None if fault is Fault.SEAL_MISSING else row.audit_id
                return expected - 1, Break(fault, expected, audit_id)
            previous = row.hash
            expected += 1
        if len(rows) < count:
            return expected - 1, Break(Fault.SEAL_MISSING, expected, None)
    return expected - 1, None


def _fault(row: Row[Any], expected: int, previous: bytes) -> Fault | None:
    if row.seq != expected:
        return Fault.SEAL_MISSING
    if row.id is None:
        return Fault.ENTRY_MISSING
    return None if link(previous, _entry(row)) == row.hash else Fault.HASH_MISMATCH


async def _find_break_outside(session: AsyncSession) -> Break | None:
    if unchained := await session.scalar(UNCHAINED):
        return Break(Fault.ENTRY_UNCHAINED, None, unchained)
    if lost := await session.scalar(LOST):
        return Break(Fault.ENTRY_MISSING, None, lost)
    return None


async def _find_mismatch(session: AsyncSession, expected: Head) -> Mismatch | None:
    there = await session.get(AuditSealRow, expected.seq)
    if there is not None and there.hash == expected.hash:
        return None
    return Mismatch(expected, None if there is None else there.hash)


async def _count_unsealed(session: AsyncSession) -> int:
    waiting = select(AuditUnsealedRow.audit_id).limit(COUNTED).subquery()
    return await session.scalar(select(func.count()).select_from(waiting)) or 0


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{field: getattr(row, field) for field in ENTRY_FIELDS})


ENTRY_FIELDS: Sequence[str] = tuple(Entry.__slots__)
