"""Hooks as clients read and call them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, RootModel

from api.http.schemas import Read


class HookRead(Read):
    """A hook. Its URL is shown once, when the hook is created."""

    paths = {"self": "/tasks/{task_id}/hooks/{id}", "task": "/tasks/{task_id}"}

    id: UUID
    task_id: UUID
    name: str | None
    created_at: datetime
    last_used_at: Annotated[datetime | None, Field(description="To the minute.")]


class HookCreated(HookRead):
    """A new hook with its secret."""

    token: Annotated[
        str | None,
        Field(description="Shown this once; null in the response to a repeated request."),
    ]
    url: Annotated[
        str | None, Field(description="The URL to POST to; it is as secret as the token.")
    ]


class HookPayload(RootModel[dict[str, Any]]):
    """The body of a call: any JSON object. Its top-level fields are the prompt's variables."""


class HookAccepted(Read):
    """The execution that a call started."""

    execution_id: UUID
    status: str
