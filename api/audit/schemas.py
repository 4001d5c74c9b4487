"""Audit entries and verifications as clients read them."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api import links
from api.http.paging import ListQuery
from api.http.schemas import Read, from_row
from domain.errors import FieldProblem, InvalidInputError
from persistence.ledger.audit import AuditEntry
from persistence.ledger.audit_chain import Head, Mismatch, Verification
from persistence.tables.ledger import AuditSealRow
from services.field_types import Moment


class SealRead(BaseModel):
    """The seal of an entry in the hash chain; `hash` is hexadecimal."""

    model_config = ConfigDict(frozen=True)

    seq: int
    hash: str
    sealed_at: datetime


class AuditRead(Read):
    """A change or a start. `actor` is the subject of `actor_id`; null for Perdure itself."""

    paths = {"self": "/audit-logs/{id}"}

    id: UUID
    at: datetime
    actor_id: UUID | None
    actor: str | None
    owner_id: UUID | None
    action: str
    entity_type: str
    entity_id: UUID
    request_id: str | None
    address: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    seal: SealRead | None


class BreakRead(BaseModel):
    """A fault and its location."""

    fault: Literal["seal_missing", "entry_missing", "hash_mismatch", "entry_unchained"]
    seq: int | None
    audit_id: UUID | None


class HeadMismatch(BaseModel):
    """The expected head and the actual one."""

    seq: int
    expected_hash: str
    hash: str | None


class VerificationRead(Read):
    """The result of a verification.

    `verified` is the number of valid seals from `from_seq` to `to_seq`; `next_from_seq` is set if
    there are more. `unsealed` is the number of entries that wait for a seal; if it grows, no worker
    seals.
    """

    is_intact: bool
    from_seq: int
    to_seq: int
    verified: int
    next_from_seq: int | None
    broken: BreakRead | None
    head: SealRead | None
    head_mismatch: HeadMismatch | None
    unsealed: int


_HEAD = re.compile(r"(?P<seq>[1-9][0-9]{0,17}):(?P<hash>[0-9a-f]{64})")


def render_entry(found: AuditEntry) -> AuditRead:
    """An audit entry with its seal."""
    return from_row(AuditRead, found.row, actor=found.actor, seal=_seal(found.seal))


def parse_head(text: str) -> Head:
    """Parse a head in the format `seq:hash`.

    Raises:
        InvalidInputError: the format is invalid.
    """
    found = _HEAD.fullmatch(text)
    if found is None:
        hint = "Use the format `seq:hash`, as returned by a verification."
        problem = FieldProblem(("query", "expect_head"), hint)
        raise InvalidInputError("The expected head is invalid; see errors.", [problem])
    return Head(int(found["seq"]), bytes.fromhex(found["hash"]))


def render_verification(found: Verification) -> VerificationRead:
    """The result of a verification, with a link to the next part."""
    path = f"{links.BASE}/audit-logs/verify"
    addresses = {"self": f"{path}?from_seq={found.from_seq}"}
    if found.next_seq is not None:
        addresses["next"] = f"{path}?from_seq={found.next_seq}"
    broken = found.broken
    return VerificationRead(
        is_intact=broken is None and found.mismatch is None,
        from_seq=found.from_seq,
        to_seq=found.to_seq,
        verified=max(0, found.to_seq - found.from_seq + 1),
        next_from_seq=found.next_seq,
        broken=broken
        and BreakRead(fault=broken.fault.value, seq=broken.seq, audit_id=broken.audit_id),
        head=_seal(found.head),
        head_mismatch=_mismatch(found.mismatch),
        unsealed=found.unsealed,
        links=addresses,
    )


def _mismatch(found: Mismatch | None) -> HeadMismatch | None:
    if found is None:
        return None
    return HeadMismatch(
        seq=found.expected.seq,
        expected_hash=found.expected.hash.hex(),
        hash=found.hash.hex() if found.hash else None,
    )


def _seal(row: AuditSealRow | None) -> SealRead | None:
    if row is None:
        return None
    return SealRead(seq=row.seq, hash=row.hash.hex(), sealed_at=row.sealed_at)


MOST_VERIFIED = 20_000
"""Seals per request: takes about a second (measured)."""


Word = Annotated[str, Field(max_length=255)]


class AuditQuery(ListQuery):
    """Filters for the audit log; `actor` is the id or subject of a user."""

    entity_type: Word | None = None
    entity_id: UUID | None = None
    action: Word | None = None
    actor: Word | None = None
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")
