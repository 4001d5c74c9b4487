"""Which segment of a plan's workflow starts a step.

Revision ID: 20261128_plan_starts
Revises: 20261128_planned_work
"""

from alembic import op

revision = "20261128_plan_starts"
down_revision = "20261128_planned_work"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE plan_steps ADD COLUMN start_segment integer")
