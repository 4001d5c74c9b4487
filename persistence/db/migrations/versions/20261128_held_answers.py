"""Answers that take effect later.

Revision ID: 20261128_held_answers
Revises: 20261128_queue
"""

from alembic import op

revision = "20261128_held_answers"
down_revision = "20261128_queue"


def upgrade() -> None:
    """Add the columns; all answers that exist have taken effect."""
    op.execute("""
        ALTER TABLE input_requests
            ADD COLUMN effective_at timestamptz,
            ADD COLUMN held_rule json
    """)
    op.execute(
        "CREATE INDEX ix_input_requests_effective_at ON input_requests (effective_at) "
        "WHERE held_rule IS NOT NULL"
    )
