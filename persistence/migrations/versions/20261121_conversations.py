"""Conversations that live on, forks and prerequisites.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    _tags()


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_executions_tags", table_name="executions")
    op.drop_column("executions", "tags")


def _tags() -> None:
    """An execution's own, since one without a task has them too."""
    op.add_column(
        "executions",
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    op.create_index(
        "ix_executions_tags",
        "executions",
        ["tags"],
        postgresql_using="gin",
        postgresql_where=sa.text("tags <> '{}'"),
    )
