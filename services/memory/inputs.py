"""Input models of memory."""

from typing import Annotated, Any

from pydantic import Field

from definitions.memory import Key, Namespace
from domain.memory.entries import GrantMode, MemoryType
from services.field_types import Body, Moment

Subject = Annotated[
    str, Field(min_length=1, max_length=255, description="The `sub` of a user's token.")
]


class MemoryPut(Body):
    """A value to remember. Without `memory_type`, an existing entry keeps its own."""

    value: Annotated[Any, Field(description="Text, or any other JSON value but null.")]
    memory_type: MemoryType | None = None
    created_by: Annotated[
        str | None, Field(max_length=255, description="Who writes this, for people to read.")
    ] = None
    expires_at: Annotated[
        Moment | None,
        Field(description="Default: never, and after 90 days for an episodic entry."),
    ] = None


class MemoryEntryPut(MemoryPut):
    """An entry of an export."""

    namespace: Namespace
    key: Key


class MemoryImport(Body):
    """Entries to write: all, or none if one is invalid."""

    items: Annotated[tuple[MemoryEntryPut, ...], Field(max_length=1_000)]


class MemoryGrantCreate(Body):
    """Lets another user read, or also write, a namespace of yours and those below it."""

    namespace: Namespace
    grantee: Subject
    mode: GrantMode = "read"
