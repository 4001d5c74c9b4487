"""Elicitations of input requests that brought no answer.

Revision ID: 20261128_elicitations
Revises: 20261128_scopes
"""

import sqlalchemy as sa
from alembic import op

revision = "20261128_elicitations"
down_revision = "20261128_scopes"


def upgrade() -> None:
    """Add the columns; no client has shown a request from before."""
    op.add_column(
        "input_requests",
        sa.Column("dismissals", sa.Integer(), nullable=False, server_default="0"),
    )
    op.add_column("input_requests", sa.Column("answer_problem", sa.Text(), nullable=True))
