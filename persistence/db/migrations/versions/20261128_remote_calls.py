"""What continues calls that an MCP server has not answered.

Revision ID: 20261128_remote_calls
Revises: 20261128_mcp_auth
"""

import sqlalchemy as sa
from alembic import op

revision = "20261128_remote_calls"
down_revision = "20261128_mcp_auth"


def upgrade() -> None:
    """Add the column; calls from before have their answers."""
    op.add_column("tool_calls", sa.Column("remote_state", sa.JSON(), nullable=True))
