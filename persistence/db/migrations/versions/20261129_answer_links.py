"""Addresses of users, and a count of assignments, for links that answer input requests.

Revision ID: 20261129_answer_links
Revises: 20261129_memory_entries
"""

from alembic import op

revision = "20261129_answer_links"
down_revision = "20261129_memory_entries"


def upgrade() -> None:
    """Add the columns: no user has an address yet, and links count from now on."""
    op.execute("ALTER TABLE users ADD COLUMN email text, ADD COLUMN slack_user text")
    op.execute("CREATE INDEX ix_users_email ON users (lower(email)) WHERE email IS NOT NULL")
    op.execute("CREATE UNIQUE INDEX uq_users_slack_user ON users (slack_user)")
    op.execute("ALTER TABLE input_requests ADD COLUMN assignments integer NOT NULL DEFAULT 0")
