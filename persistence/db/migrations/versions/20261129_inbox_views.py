"""Saved views of the inbox.

Revision ID: 20261129_inbox_views
Revises: 20261129_lone_ends
"""

from alembic import op

revision = "20261129_inbox_views"
down_revision = "20261129_lone_ends"


def upgrade() -> None:
    """Create the table."""
    op.execute("""
    CREATE TABLE inbox_views (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users (id),
        name text NOT NULL,
        filters json NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_inbox_views_user_id_name UNIQUE (user_id, name)
    )
    """)
    op.execute("CREATE INDEX ix_inbox_views_user_id_id ON inbox_views (user_id, id)")
