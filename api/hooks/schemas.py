"""Request and response bodies of hooks."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, RootModel

from services.definitions.inputs import Name
from services.field_types import Body, Read


class HookCreate(Body):
    """A new hook; the name is only a label."""

    name: Name | None = None


class HookRead(Read):
    """A hook. Its URL is returned once, when it is created."""

    id: UUID
    task_id: UUID
    name: str | None
    created_at: datetime
    last_used_at: Annotated[datetime | None, Field(description="Accurate to the minute.")]


class HookCreated(HookRead):
    """A new hook with its secret."""

    token: Annotated[str | None, Field(description="Returned once; null for a repeated request.")]
    url: Annotated[
        str | None, Field(description="The URL for POST requests. Keep it as secret as the token.")
    ]


class HookPayload(RootModel[dict[str, Any]]):
    """The body of a hook request: any JSON object. Its top-level fields are the variables."""


class HookAccepted(Read):
    """The execution that the request started."""

    execution_id: UUID
    status: str
