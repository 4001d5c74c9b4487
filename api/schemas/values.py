"""Types that bodies of several features share."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

UsdOut = Annotated[Decimal, PlainSerializer(float, return_type=float)]
"""Money in a response: a JSON number; six decimals are exact in a double up to nine digits."""

Text = Annotated[str, Field(max_length=10_000)]
"""Free text of a person: a description, a reason, a message."""

Variables = dict[str, Any]


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Read(BaseModel):
    """Base of resources. `_links` stands in every one."""

    model_config = ConfigDict(frozen=True)

    links: dict[str, str] = Field(serialization_alias="_links")
