"""Trust in MCP servers.

Revision ID: 20261128_trusted
Revises: 20261128_comments
"""

from alembic import op

revision = "20261128_trusted"
down_revision = "20261128_comments"


def upgrade() -> None:
    """Add the column; no earlier server is trusted."""
    op.execute("ALTER TABLE mcp_servers ADD COLUMN is_trusted boolean DEFAULT false NOT NULL")
