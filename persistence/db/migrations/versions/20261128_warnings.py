"""Warnings of executions.

Revision ID: 20261128_warnings
Revises: 20261128
"""

import sqlalchemy as sa
from alembic import op

revision = "20261128_warnings"
down_revision = "20261128"


def upgrade() -> None:
    """Add the column; executions from before have no warnings."""
    op.add_column(
        "executions",
        sa.Column("warnings", sa.JSON(), nullable=False, server_default="[]"),
    )
