"""Registered MCP servers."""

from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from persistence.tables.columns import NamedRow


class McpServerRow(NamedRow):
    """An MCP server by its address or by a command.

    The values of `headers` and `env` are references (`secret://name`) or sealed, in base64.
    """

    KIND = "an MCP server"
    __tablename__ = "mcp_servers"
    __table_args__ = (
        Index("uq_mcp_servers_user_id_name", "user_id", "name", unique=True),
        Index("ix_mcp_servers_user_id_id", "user_id", "id"),
        Index("ix_mcp_servers_public", "id", postgresql_where=text("is_public")),
    )

    is_public: Mapped[bool]
    url: Mapped[str | None]
    command: Mapped[str | None]
    args: Mapped[list[str]]
    headers: Mapped[dict[str, Any]]
    env: Mapped[dict[str, Any]]
    health: Mapped[dict[str, Any] | None]
    """The result of the last health check."""
