"""Events of an execution's story (contract.md, section 7)."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """An event to append: its type and its data, which never holds a secret."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
