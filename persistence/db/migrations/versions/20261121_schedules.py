"""How far Temporal is behind each schedule, backfills, and fires that came to nothing.

Revision ID: 0004
Revises: 0003
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "schedules",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("applied_revision", sa.Integer(), nullable=False),
        _now("changed_at"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name=op.f("fk_schedules_task_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_schedules")),
    )
    op.create_index(
        "ix_schedules_out_of_step",
        "schedules",
        ["changed_at"],
        postgresql_where=sa.text("revision <> applied_revision"),
    )
    op.create_table(
        "schedule_skips",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("first_run_id", sa.Text(), nullable=False),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_skips")),
    )
    op.create_index("ix_schedule_skips_task_id_id", "schedule_skips", ["task_id", "id"])
    op.create_index(
        "uq_schedule_skips_workflow_id_first_run_id",
        "schedule_skips",
        ["workflow_id", "first_run_id"],
        unique=True,
    )
    op.create_table(
        "schedule_backfills",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("overlap_policy", sa.Text(), nullable=False),
        _now("created_at"),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_schedule_backfills_task_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_backfills")),
    )
    op.create_index(
        "ix_schedule_backfills_unsent",
        "schedule_backfills",
        ["id"],
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.create_index(
        "ix_tasks_scheduled",
        "tasks",
        ["user_id", "id"],
        postgresql_where=sa.text("is_scheduled AND deleted_at IS NULL"),
    )
    op.create_index(
        "ix_executions_task_id_fires",
        "executions",
        ["task_id", "id"],
        postgresql_where=sa.text("trigger_type = 'scheduled'"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_executions_task_id_fires", table_name="executions")
    op.drop_index("ix_tasks_scheduled", table_name="tasks")
    op.drop_table("schedule_backfills")
    op.drop_table("schedule_skips")
    op.drop_table("schedules")


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )
