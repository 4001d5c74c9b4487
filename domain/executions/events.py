"""Events of an execution."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Event:
    """An event to append: its type and its data, which never contains a secret."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)


def artifact_saved(artifact_id: UUID, name: str, size_bytes: int) -> Event:
    """An artifact was stored, from a tool or an upload."""
    data = {"artifact_id": str(artifact_id), "name": name, "size_bytes": size_bytes}
    return Event("artifact.saved", data)
