"""Credentials with which Perdure gets access tokens for MCP servers.

Revision ID: 20261128_mcp_auth
Revises: 20261128_trusted
"""

import sqlalchemy as sa
from alembic import op

revision = "20261128_mcp_auth"
down_revision = "20261128_trusted"


def upgrade() -> None:
    """Add the column; servers from before have no such credentials."""
    op.add_column("mcp_servers", sa.Column("auth", sa.JSON(), nullable=True))
