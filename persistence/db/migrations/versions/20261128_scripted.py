"""Marks of executions and model calls that the scripted model answered.

Revision ID: 20261128_scripted
Revises: 20261128_budgets
"""

from alembic import op

revision = "20261128_scripted"
down_revision = "20261128_budgets"


def upgrade() -> None:
    """Add the columns; earlier calls count as real."""
    op.execute("""
        ALTER TABLE executions
            ADD COLUMN is_scripted boolean DEFAULT false NOT NULL,
            ADD COLUMN scripted_cost_usd numeric(18, 6) DEFAULT 0 NOT NULL
    """)
    op.execute("ALTER TABLE model_calls ADD COLUMN is_scripted boolean DEFAULT false NOT NULL")
