"""Executions in which Claude writes a plan.

Revision ID: 20261128_plan_generations
Revises: 20261128_network
"""

from alembic import op

revision = "20261128_plan_generations"
down_revision = "20261128_network"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
        CREATE TABLE plan_generations (
            execution_id uuid NOT NULL CONSTRAINT pk_plan_generations PRIMARY KEY
                CONSTRAINT fk_plan_generations_execution_id REFERENCES executions,
            plan_id uuid,
            request json NOT NULL,
            corrections integer NOT NULL
        )
    """)
