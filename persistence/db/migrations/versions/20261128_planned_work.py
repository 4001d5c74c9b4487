"""Planned work that an orchestrator has deleted, and indexes for its queries.

Revision ID: 20261128_planned_work
Revises: 20261128_memory
"""

from alembic import op

revision = "20261128_planned_work"
down_revision = "20261128_memory"

PLANNED = "executor IN ('external', 'plan') AND archived_at IS NULL"


def upgrade() -> None:
    """Move the time out of the metadata."""
    op.execute("ALTER TABLE executions ADD COLUMN archived_at timestamptz")
    op.execute("""
        UPDATE executions
        SET archived_at = CAST(trigger_metadata ->> 'archived_at' AS timestamptz)
        WHERE executor = 'external' AND trigger_metadata ->> 'archived_at' IS NOT NULL
    """)
    op.execute(
        f"CREATE INDEX ix_executions_planned_work ON executions (user_id, id) WHERE {PLANNED}"
    )
    op.execute(f"""
        CREATE INDEX ix_executions_planned_work_complexity
        ON executions (user_id, (trigger_metadata ->> 'complexity'), id) WHERE {PLANNED}
    """)
