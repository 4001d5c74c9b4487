"""Request and response bodies of MCP servers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.agents.schemas import Slug
from runtime.outbound import URL_LIMIT
from services.field_types import Body, Read, Text

MOST_VALUES = 50
LONGEST_VALUE = 8_192
"""Maximum characters of a header or variable: the common limit of web servers."""

Url = Annotated[str, Field(min_length=1, max_length=URL_LIMIT)]
Command = Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"\S")]
Arguments = Annotated[
    tuple[Annotated[str, Field(max_length=LONGEST_VALUE)], ...], Field(max_length=100)
]
HeaderValue = Annotated[str, Field(max_length=LONGEST_VALUE, pattern=r"^[\x20-\x7e]*$")]
Value = Annotated[str, Field(max_length=LONGEST_VALUE)]
HeaderName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
VariableName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=MOST_VALUES)]
Variables = Annotated[dict[VariableName, Value], Field(max_length=MOST_VALUES)]


class McpServerCreate(Body):
    """An MCP server with a URL, or with a command (admins only).

    Use references to secrets as values of `headers` and `env` (`secret://name`,
    `Bearer secret://name`). Other values are stored encrypted and never shown.
    """

    name: Slug
    description: Text | None = None
    url: Url | None = None
    command: Command | None = None
    args: Arguments = ()
    headers: Headers = Field(default_factory=dict)
    env: Variables = Field(default_factory=dict)
    is_public: Annotated[bool, Field(description="Whether every user can use it; admins only.")] = (
        False
    )


class McpServerUpdate(Body):
    """Changes to a server. A masked value that you send back does not change."""

    name: Slug | None = None
    description: Text | None = None
    url: Url | None = None
    command: Command | None = None
    args: Arguments | None = None
    headers: Headers | None = None
    env: Variables | None = None
    is_public: bool | None = None


class HealthRead(BaseModel):
    """The result of a health check."""

    model_config = ConfigDict(frozen=True)

    status: Literal["healthy", "unhealthy"]
    latency_ms: Annotated[int | None, Field(description="Time until the response to `initialize`.")]
    server_info: Annotated[
        dict[str, Any] | None, Field(description="Information from the server about itself.")
    ]
    protocol_version: str | None
    checked_at: datetime
    detail: Annotated[
        str | None, Field(description="The error message, if the server is unhealthy.")
    ]


class McpServerRead(Read):
    """A registered MCP server, with secrets masked."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    url: str | None
    command: str | None
    args: list[str]
    headers: dict[str, str]
    env: dict[str, str]
    is_public: bool
    health: HealthRead | None
    created_at: datetime
    updated_at: datetime
