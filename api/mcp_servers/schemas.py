"""MCP servers as clients read them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.http.schemas import Read


class HealthRead(BaseModel):
    """The result of a health check."""

    model_config = ConfigDict(frozen=True)

    status: Literal["healthy", "unhealthy"]
    latency_ms: Annotated[int | None, Field(description="Time until the response to `initialize`.")]
    server_info: Annotated[
        dict[str, Any] | None, Field(description="How the server describes itself.")
    ]
    protocol_version: str | None
    checked_at: datetime
    detail: Annotated[str | None, Field(description="What is wrong, in a sentence.")]


class McpServerRead(Read):
    """A registered MCP server; secret values are masked."""

    paths = {"self": "/mcp-servers/{id}", "health_check": "/mcp-servers/{id}/health-check"}

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
