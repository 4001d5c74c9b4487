"""Secrets: what a client writes, and what of it can be read."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from domain.secrets import HOST, NAME
from services.field_types import Body, Read

Name = Annotated[str, Field(pattern=rf"^{NAME}$", description="Small letters, digits, `_.-`.")]
Host = Annotated[str, StringConstraints(max_length=255, pattern=rf"^{HOST}$")]
Tool = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class SecretPut(Body):
    """A secret's value, and what it may reach; what is left out it may not."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=16_384)]
    hosts: Annotated[
        tuple[Host, ...],
        Field(max_length=50, description="It may be sent to these; `*.example.com` is any below."),
    ] = ()
    tools: Annotated[
        tuple[Tool, ...], Field(max_length=50, description="It may be given to these tools.")
    ] = ()


class SecretRead(Read):
    """A secret without its value, which nobody reads again."""

    name: str
    hosts: list[str]
    tools: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
