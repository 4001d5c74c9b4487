"""The base of all payloads."""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Base of all contract models: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
