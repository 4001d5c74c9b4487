"""Tool calls that start several subtasks.

Revision ID: 20261128_subtasks
Revises: 20261128_remote_calls
"""

from alembic import op

revision = "20261128_subtasks"
down_revision = "20261128_remote_calls"


def upgrade() -> None:
    """Add the column; calls in progress list their one subtask."""
    op.execute("ALTER TABLE tool_calls ADD COLUMN child_execution_ids uuid[] DEFAULT '{}' NOT NULL")
    op.execute(
        "UPDATE tool_calls SET child_execution_ids = ARRAY[child_execution_id] "
        "WHERE child_execution_id IS NOT NULL"
    )
