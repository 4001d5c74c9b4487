"""The bodies that the services of artifacts and notifications accept."""

import base64
import binascii
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from contracts.notifications import EmailTarget, SlackTarget, WebhookTarget
from services.field_types import Body

MediaType = Annotated[str, Field(max_length=200, pattern=r"^[!-~]+/[!-~][ -~]*$")]


class ArtifactCreate(Body):
    """A file to store, for an execution of yours that has not ended or on its own.

    Its bytes are either `content`, which is text, or `content_base64`. Without `media_type` the
    type is guessed from the name.
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
        """The bytes of the file."""
        if self.content is not None:
            return self.content.encode()
        return base64.b64decode(self.content_base64 or "")


class NotificationTest(Body):
    """The target of a test notification: exactly one of these."""

    webhook: WebhookTarget | None = None
    email: EmailTarget | None = None
    slack: SlackTarget | None = None
