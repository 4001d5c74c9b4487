"""Blocked executions by their deadline, which upkeep looks for.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_executions_blocked_deadline_at",
        "executions",
        ["deadline_at"],
        postgresql_where=sa.text("status = 'blocked' AND deadline_at IS NOT NULL"),
    )
