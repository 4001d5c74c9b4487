"""An index of external work, which counts it by agent and status.

Revision ID: 20261129_queue_state
Revises: 20261128_workspaces
"""

from alembic import op

revision = "20261129_queue_state"
down_revision = "20261128_workspaces"


def upgrade() -> None:
    """Create the index."""
    op.execute("""
        CREATE INDEX ix_executions_queued ON executions (user_id, agent_id, status, id)
        INCLUDE (calculated_priority, dependency_depth)
        WHERE executor = 'external' AND archived_at IS NULL
    """)
