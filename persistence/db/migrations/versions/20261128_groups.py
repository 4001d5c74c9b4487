"""Groups, mentions, claims, reminders, escalations and several approvals of input requests.

Revision ID: 20261128_groups
Revises: 20261128_memory_uses
"""

from alembic import op

revision = "20261128_groups"
down_revision = "20261128_memory_uses"


def upgrade() -> None:
    """Add the tables and columns; open requests have no reminders and need one approval."""
    op.execute("ALTER TABLE users ADD COLUMN claimed_groups text[]")
    op.execute("""
        ALTER TABLE input_requests
            ADD COLUMN escalation json,
            ADD COLUMN reminders json NOT NULL DEFAULT '[]',
            ADD COLUMN next_action_at timestamptz,
            ADD COLUMN claimed_by text,
            ADD COLUMN claimed_at timestamptz,
            ADD COLUMN approvals_required integer NOT NULL DEFAULT 1,
            ADD COLUMN approvals json NOT NULL DEFAULT '[]',
            ADD COLUMN starter_may_not_approve boolean NOT NULL DEFAULT false
    """)
    op.execute(
        "CREATE INDEX ix_input_requests_next_action_at ON input_requests (next_action_at) "
        "WHERE status = 'open' AND next_action_at IS NOT NULL"
    )
    op.execute("""
        CREATE TABLE groups (
            id uuid CONSTRAINT pk_groups PRIMARY KEY,
            user_id uuid NOT NULL CONSTRAINT fk_groups_user_id REFERENCES users (id),
            name text NOT NULL,
            description text,
            members text[] NOT NULL DEFAULT '{}',
            working_hours json,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE UNIQUE INDEX uq_groups_name ON groups (name)")
    op.execute("CREATE INDEX ix_groups_members ON groups USING gin (members)")
    op.execute("""
        CREATE TABLE input_request_mentions (
            assignee text NOT NULL,
            input_request_id uuid NOT NULL
                CONSTRAINT fk_input_request_mentions_input_request_id
                REFERENCES input_requests (id),
            CONSTRAINT pk_input_request_mentions PRIMARY KEY (assignee, input_request_id)
        )
    """)
