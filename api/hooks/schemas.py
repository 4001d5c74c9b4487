"""Hooks."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, RootModel

from services.definitions.inputs import Name
from services.field_types import Body, Read


class HookCreate(Body):
    """A new hook; the name is for people."""

    name: Name | None = None


class HookRead(Read):
    """A hook. Its address is told once, when it is made."""

    id: UUID
    task_id: UUID
    name: str | None
    created_at: datetime
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]


class HookCreated(HookRead):
    """A new hook with its secret."""

    token: Annotated[
        str | None, Field(description="Told this once; null when a repeated request is answered.")
    ]
    url: Annotated[str | None, Field(description="Where to POST to; as secret as the token.")]


class HookPayload(RootModel[dict[str, Any]]):
    """What is sent to a hook: any JSON object. Its top-level fields are the prompt's variables."""


class HookAccepted(Read):
    """The execution that a call has made, as far as its caller is concerned."""

    execution_id: UUID
    status: str
