"""Remembered decisions: rules that answers to approvals store.

Revision ID: 20261128_remembered_decisions
Revises: 20261128_blobs
"""

from alembic import op

revision = "20261128_remembered_decisions"
down_revision = "20261128_blobs"


def upgrade() -> None:
    """Add the table, and the columns; open requests keep an unknown reach."""
    op.execute("ALTER TABLE tool_calls ADD COLUMN remembered_decision_id uuid")
    op.execute("ALTER TABLE input_requests ADD COLUMN reach_sha256 bytea")
    op.execute(
        """
        CREATE TABLE remembered_decisions (
            id uuid CONSTRAINT pk_remembered_decisions PRIMARY KEY,
            user_id uuid NOT NULL
                CONSTRAINT fk_remembered_decisions_user_id REFERENCES users (id),
            author_id uuid NOT NULL
                CONSTRAINT fk_remembered_decisions_author_id REFERENCES users (id),
            input_request_id uuid NOT NULL
                CONSTRAINT fk_remembered_decisions_input_request_id
                REFERENCES input_requests (id),
            execution_id uuid
                CONSTRAINT fk_remembered_decisions_execution_id
                REFERENCES executions (id),
            task_id uuid
                CONSTRAINT fk_remembered_decisions_task_id REFERENCES tasks (id),
            decision text NOT NULL,
            tool_name text NOT NULL,
            tool_input text NOT NULL,
            input_sha256 bytea NOT NULL,
            reach_sha256 bytea NOT NULL,
            pattern text,
            message text,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            revoked_at timestamptz
        )
        """
    )
    op.execute(
        "CREATE INDEX ix_remembered_decisions_user_id_id ON remembered_decisions (user_id, id) "
        "WHERE revoked_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_remembered_decisions_user_id_tool_name "
        "ON remembered_decisions (user_id, tool_name) WHERE revoked_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_remembered_decisions_author_id_id ON remembered_decisions (author_id, id) "
        "WHERE revoked_at IS NULL AND author_id <> user_id"
    )
