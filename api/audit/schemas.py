"""Response bodies of the audit log."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from api.http.schemas import Read


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
