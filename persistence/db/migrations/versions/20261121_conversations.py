"""Conversations that live on, forks and prerequisites.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    _tags()
    _retries()
    _conversations()
    _pauses()
    _forks()
    _prerequisites()
    _tool_schemas()


def downgrade() -> None:
    """Take back."""
    op.drop_column("input_requests", "tool_input_schema")
    op.drop_table("execution_prerequisites")
    op.drop_index("ix_messages_superseded", table_name="messages")
    for column in ("forked_at", "forked_at_seq", "forked_from_session_id"):
        op.drop_column("sessions", column)
    op.drop_column("executions", "pause_requested_at")
    op.drop_index("ix_sessions_user_id_id_interactive", table_name="sessions")
    op.drop_index("ix_sessions_user_id_agent_id_id", table_name="sessions")
    op.drop_index("ix_executions_retry_of_id", table_name="executions")
    op.drop_column("executions", "tags")


def _tags() -> None:
    """An execution's own, since one without a task has them too."""
    op.add_column(
        "executions",
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )


def _retries() -> None:
    """Whether an execution was run again."""
    op.create_index(
        "ix_executions_retry_of_id",
        "executions",
        ["retry_of_id"],
        postgresql_where=sa.text("retry_of_id IS NOT NULL"),
    )


def _conversations() -> None:
    """Lists of the interactive ones, and of those with an agent."""
    op.create_index("ix_sessions_user_id_agent_id_id", "sessions", ["user_id", "agent_id", "id"])
    op.create_index(
        "ix_sessions_user_id_id_interactive",
        "sessions",
        ["user_id", "id"],
        postgresql_where=sa.text("is_interactive IS true"),
    )


def _pauses() -> None:
    """The wish to stand still."""
    op.add_column("executions", sa.Column("pause_requested_at", sa.DateTime(timezone=True)))


def _forks() -> None:
    """What a fork shares, and a way to what was superseded after it."""
    op.add_column("sessions", sa.Column("forked_from_session_id", sa.Uuid()))
    op.add_column("sessions", sa.Column("forked_at_seq", sa.Integer()))
    op.add_column("sessions", sa.Column("forked_at", sa.DateTime(timezone=True)))
    op.create_foreign_key(
        op.f("fk_sessions_forked_from_session_id"),
        "sessions",
        "sessions",
        ["forked_from_session_id"],
        ["id"],
    )
    op.create_index(
        "ix_messages_superseded",
        "messages",
        ["session_id", "seq"],
        postgresql_where=sa.text("superseded_at IS NOT NULL"),
    )


def _prerequisites() -> None:
    """Which executions wait for which."""
    op.create_table(
        "execution_prerequisites",
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("prerequisite_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint(
            "execution_id", "prerequisite_id", name=op.f("pk_execution_prerequisites")
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["executions.id"],
            name=op.f("fk_execution_prerequisites_execution_id"),
        ),
        sa.ForeignKeyConstraint(
            ["prerequisite_id"],
            ["executions.id"],
            name=op.f("fk_execution_prerequisites_prerequisite_id"),
        ),
    )
    op.create_index(
        "ix_execution_prerequisites_prerequisite_id",
        "execution_prerequisites",
        ["prerequisite_id"],
    )


def _tool_schemas() -> None:
    """What an edited tool input must fit."""
    op.add_column("input_requests", sa.Column("tool_input_schema", sa.JSON(none_as_null=True)))
