"""Identifiers: UUID version 7, which sort by the time of their creation."""

import os
import re
import time
import uuid
from datetime import UTC, datetime, timedelta

ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""An id as text."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = (1 << 48) - 1


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return ID.fullmatch(text) is not None


def ids_of_prefix(prefix: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The first and the last id that begin with this text; None if no id can."""
    digits = prefix.replace("-", "").lower()
    if re.fullmatch(r"[0-9a-f]{1,32}", digits) is None:
        return None
    first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
    return (first, last) if str(first).startswith(prefix.lower()) else None


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562, section 5.7): milliseconds, their fraction in 12 bits, random bits.

    With the fraction (section 6.2, method 3) ids of one host sort by creation, to 0.25 µs.

    Python 3.14 has `uuid.uuid7`; it replaces this function once 3.14 is our oldest version.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random)


def read_creation_time(made: uuid.UUID) -> datetime:
    """The time at which one of our ids was created, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=made.int >> 80)


def last_id_before(moment: datetime) -> uuid.UUID:
    """The largest id that can be created before this moment."""
    return uuid.UUID(int=max(first_id_at(moment).int - 1, 0))


def first_id_at(moment: datetime) -> uuid.UUID:
    """The smallest id that can be created from this moment on, for ranges of time."""
    milliseconds = -((_EPOCH - moment) // timedelta(milliseconds=1))
    return uuid.UUID(int=min(max(milliseconds, 0), _LAST_MILLISECOND) << 80)
