"""Reports that are listed by what they are about, and that know the scheduled run before.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create; nothing is changed that another process may be using."""
    op.add_column("reports", sa.Column("task_id", sa.Uuid(), nullable=True))
    op.execute(
        "UPDATE reports SET task_id = e.task_id FROM executions e WHERE e.id = reports.execution_id"
    )
    op.create_index("ix_reports_user_id_task_id_id", "reports", ["user_id", "task_id", "id"])
    op.create_index("ix_reports_user_id_format_id", "reports", ["user_id", "format", "id"])
    op.create_index(
        "ix_executions_task_id_scheduled",
        "executions",
        ["task_id", "id"],
        postgresql_where=sa.text("trigger_type = 'scheduled' AND status = 'completed'"),
    )
