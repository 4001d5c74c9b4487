"""Request and response bodies of artifacts."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from services.field_types import Body, Read

MediaType = Annotated[str, Field(max_length=200, pattern=r"^[!-~]+/[!-~][ -~]*$")]


class ArtifactCreate(Body):
    """A file to store, optionally for one of your executions that has not ended.

    Send the content as text in `content` or encoded in `content_base64`. The default of
    `media_type` depends on the name.
    """

    name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
    content: str | None = None
    content_base64: str | None = None
    media_type: MediaType | None = None
    execution_id: UUID | None = None

    @model_validator(mode="after")
    def _has_bytes(self) -> Self:
        if (self.content is None) == (self.content_base64 is None):
            raise ValueError("Send either content or content_base64.")
        try:
            base64.b64decode(self.content_base64 or "", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("content_base64 is not valid base64 (RFC 4648, section 4).") from None
        return self

    @property
    def data(self) -> bytes:
        """The content as bytes."""
        if self.content is not None:
            return self.content.encode()
        return base64.b64decode(self.content_base64 or "")


class ArtifactRead(Read):
    """An artifact. `_links.content` returns its content."""

    id: UUID
    user_id: UUID
    execution_id: UUID | None
    tool_call_id: UUID | None
    kind: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime
