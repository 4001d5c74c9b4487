"""The audit log as clients see it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.field_types import Read


class SealRead(BaseModel):
    """An entry's place in the chain; `hash` in hexadecimal."""

    model_config = ConfigDict(frozen=True)

    seq: int
    hash: str
    sealed_at: datetime


class AuditRead(Read):
    """One change or execute. `actor` is the subject of `actor_id`; both empty: the engine."""

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
    """What is wrong, and where."""

    fault: Literal["seal_missing", "entry_missing", "hash_mismatch", "entry_unchained"]
    seq: int | None
    audit_id: UUID | None


class HeadMismatch(BaseModel):
    """The head that was expected, and what stands in its place."""

    seq: int
    expected_hash: str
    hash: str | None


class VerificationRead(Read):
    """How far the chain holds.

    `verified` seals from `from_seq` to `to_seq`; `next_from_seq` goes on where there are more.
    `unsealed` entries wait for the sealer; more than a few that stay are a sealer that stands.
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
