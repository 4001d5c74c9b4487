"""Field types that several features use."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

UsdOut = Annotated[Decimal, PlainSerializer(float, return_type=float)]
"""Money in a response: a JSON number. A double is exact for nine digits and six decimals."""

Text = Annotated[str, Field(max_length=10_000)]
"""Free text from a user: a description, a reason, a message."""

Variables = dict[str, Any]

_NUMBER = re.compile(r"\s*[-+]?[\d._]+(?:e[-+]?\d+)?\s*", re.IGNORECASE)


def _refuse_number(value: Any) -> Any:
    """Refuse numbers, which pydantic would read as seconds since 1970."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        raise ValueError("Use the RFC 3339 format, such as 2026-11-21T09:00:00Z.")
    return value


def _read(value: Any) -> Any:
    """Parse a time from text: after a validator, strict mode no longer accepts text for a time."""
    written = _refuse_number(value)
    try:
        return _TIME.validate_python(written) if isinstance(written, str) else written
    except ValidationError:
        return written


_TIME = TypeAdapter(datetime)


def _to_utc(moment: datetime) -> datetime:
    """Convert here: at the ends of the calendar, a time with an offset has no time in UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Use a time between the years 1 and 9999 in UTC.") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_read), AfterValidator(_to_utc)]
"""A time in a request, with a UTC offset; converted to UTC."""


def _read_day(value: Any) -> Any:
    """Read a time with its checks: in a union, they would name the branch in the location."""
    if not isinstance(value, str) or len(value) <= len("2026-11-21"):
        return _refuse_number(value)
    read = _read(value)
    return _to_utc(read).date() if isinstance(read, datetime) and read.tzinfo else read


Day = Annotated[date | AwareDatetime, BeforeValidator(_read_day)]
"""A day in a request, or a time, which means its day in UTC."""


class Body(BaseModel):
    """Base class of request bodies; refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)
