"""Types that bodies of several features share."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
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
"""Money in a response: a JSON number; six decimals are exact in a double up to nine digits."""

Text = Annotated[str, Field(max_length=10_000)]
"""Free text of a person: a description, a reason, a message."""

Variables = dict[str, Any]

_NUMBER = re.compile(r"\s*[-+]?[\d.]+\s*")


def _as_written(value: Any) -> Any:
    """Refuse what pydantic would take for seconds since 1970."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        raise ValueError("Write it as RFC 3339, such as 2026-11-21T09:00:00Z.")
    return value


def _read(value: Any) -> Any:
    """The time of a text: behind a validator, a strict body takes no text for a time any more."""
    written = _as_written(value)
    try:
        return _TIME.validate_python(written) if isinstance(written, str) else written
    except ValidationError:
        return written


_TIME = TypeAdapter(datetime)


Moment = Annotated[AwareDatetime, BeforeValidator(_read)]
"""A time in a request, with its offset."""

Day = Annotated[date | AwareDatetime, BeforeValidator(_as_written)]
"""A day in a request; of a time, the day it falls on in UTC."""


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Read(BaseModel):
    """Base of resources. `_links` stands in every one."""

    model_config = ConfigDict(frozen=True)

    links: dict[str, str] = Field(serialization_alias="_links")
