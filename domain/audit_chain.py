"""The chain over the audit log: what is hashed of an entry, and how the hashes hang together.

Whoever has the entries and the seals can verify the chain with these few lines and nothing else.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

GENESIS = bytes(32)
"""What stands before the first hash."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the audit log; `before` and `after` are JSON texts, to the byte."""

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
    """The hash that seals `entry` behind the one whose hash is `previous`."""
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
