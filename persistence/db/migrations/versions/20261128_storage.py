"""What each user stores.

Revision ID: 20261128_storage
Revises: 20261128_external
"""

from alembic import op

revision = "20261128_storage"
down_revision = "20261128_external"


def upgrade() -> None:
    """Add the sizes of workspaces, users' own limits, and the indexes of the sums."""
    op.execute("ALTER TABLE users ADD COLUMN max_stored_bytes bigint")
    op.execute("ALTER TABLE sessions ADD COLUMN workspace_bytes bigint DEFAULT 0 NOT NULL")
    op.execute("""
        CREATE INDEX ix_sessions_user_id_workspace_bytes ON sessions (user_id, workspace_bytes)
        WHERE workspace_bytes > 0
    """)
    op.execute("""
        CREATE INDEX ix_sessions_deleted_workspaces ON sessions (workspace_host_id)
        WHERE deleted_at IS NOT NULL AND workspace_bytes > 0
    """)
    op.execute("CREATE INDEX ix_artifacts_user_id_size_bytes ON artifacts (user_id, size_bytes)")
