"""The hash chain of the audit log: which fields are hashed, and how each hash follows the last.

This module is all that is needed to verify the chain of exported entries.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

GENESIS = bytes(32)
"""The value before the first hash."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the audit log; `before` and `after` are the exact JSON texts."""

    id: UUID
    at: datetime
    actor_id: UUID | None
    owner_id: UUID | None
    action: str
    entity_type: str
    entity_id: UUID
    request_id: str | None
    address: str | None
    before: str | None
    after: str | None


def link(previous: bytes, entry: Entry) -> bytes:
    """The hash of `entry` after the entry with the hash `previous`."""
    return hashlib.sha256(previous + canonical(entry)).digest()


def canonical(entry: Entry) -> bytes:
    """The entry's fields, in their order, as one JSON array of strings and nulls in ASCII."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [
        str(entry.id),
        at,
        _text(entry.actor_id),
        _text(entry.owner_id),
        entry.action,
        entry.entity_type,
        str(entry.entity_id),
        entry.request_id,
        entry.address,
        entry.before,
        entry.after,
    ]
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
