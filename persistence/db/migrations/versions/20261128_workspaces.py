"""Snapshots of workspaces, and the hosts of workers.

Revision ID: 20261128_workspaces
Revises: 20261128_reminders
"""

from alembic import op

revision = "20261128_workspaces"
down_revision = "20261128_reminders"


def upgrade() -> None:
    """Create the tables. A workspace without a snapshot stays on its host."""
    op.execute("ALTER TABLE sessions ADD COLUMN workspace_epoch integer DEFAULT 0 NOT NULL")
    op.execute("""
        CREATE TABLE workspace_snapshots (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_workspace_snapshots PRIMARY KEY,
            session_id uuid NOT NULL,
            execution_id uuid NOT NULL,
            turn integer NOT NULL,
            sha256 text NOT NULL,
            blobs text[] NOT NULL,
            files integer NOT NULL,
            size_bytes bigint NOT NULL,
            created_at timestamp with time zone DEFAULT now() NOT NULL
        )
    """)
    op.execute("""
        CREATE INDEX ix_workspace_snapshots_session_id_id ON workspace_snapshots (session_id, id)
    """)
    op.execute("""
        CREATE TABLE workspace_blobs (
            session_id uuid NOT NULL,
            sha256 text NOT NULL CONSTRAINT fk_workspace_blobs_sha256_blobs REFERENCES blobs,
            user_id uuid NOT NULL,
            size_bytes bigint NOT NULL,
            CONSTRAINT pk_workspace_blobs PRIMARY KEY (session_id, sha256)
        )
    """)
    op.execute("CREATE INDEX ix_workspace_blobs_sha256 ON workspace_blobs (sha256)")
    op.execute("""
        CREATE INDEX ix_workspace_blobs_user_id_size_bytes ON workspace_blobs (user_id, size_bytes)
    """)
    op.execute("""
        CREATE TABLE worker_hosts (
            host_id uuid NOT NULL CONSTRAINT pk_worker_hosts PRIMARY KEY,
            seen_at timestamp with time zone NOT NULL
        )
    """)
