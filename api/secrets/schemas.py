"""Request and response bodies of secrets."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from domain.secrets import HOST, NAME
from services.field_types import Body, Read

Name = Annotated[
    str, Field(pattern=rf"^{NAME}$", description="Lower-case letters, digits, `_`, `.` and `-`.")
]
Host = Annotated[str, StringConstraints(max_length=255, pattern=rf"^{HOST}$")]
Tool = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class SecretPut(Body):
    """The value of a secret and its permitted hosts and tools. The default is no access."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=16_384)]
    hosts: Annotated[
        tuple[Host, ...],
        Field(
            max_length=50,
            description="Hosts that may receive the value; `*.example.com` matches subdomains.",
        ),
    ] = ()
    tools: Annotated[
        tuple[Tool, ...], Field(max_length=50, description="Tools that may receive the value.")
    ] = ()


class SecretRead(Read):
    """A secret without its value, which is never returned."""

    name: str
    hosts: list[str]
    tools: list[str]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
