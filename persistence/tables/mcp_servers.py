"""Registered MCP servers."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, Id, Row


class McpServerRow(Row):
    """An MCP server by its address or by a command.

    The values of `headers` and `env` are references (`secret://name`) or sealed, in base64.
    """

    __tablename__ = "mcp_servers"
    __table_args__ = (
        Index("uq_mcp_servers_user_id_name", "user_id", "name", unique=True),
        Index("ix_mcp_servers_user_id_id", "user_id", "id"),
        Index("ix_mcp_servers_public", "id", postgresql_where=text("is_public")),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    description: Mapped[str | None]
    is_public: Mapped[bool]
    url: Mapped[str | None]
    command: Mapped[str | None]
    args: Mapped[list[str]]
    headers: Mapped[dict[str, Any]]
    env: Mapped[dict[str, Any]]
    health: Mapped[dict[str, Any] | None]
    """What the last health check found."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
