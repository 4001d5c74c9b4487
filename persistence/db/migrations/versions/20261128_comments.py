"""Comments on input requests.

Revision ID: 20261128_comments
Revises: 20261128_storage
"""

import sqlalchemy as sa
from alembic import op

revision = "20261128_comments"
down_revision = "20261128_storage"


def upgrade() -> None:
    """Add the column; requests from before have no comments."""
    column = sa.Column("comments", sa.JSON(), nullable=False, server_default="[]")
    op.add_column("input_requests", column)
