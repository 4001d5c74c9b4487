"""A limit of the memory entries of a user, and searches that no pending entries slow down.

Revision ID: 20261129_memory_entries
Revises: 20261129_queue_state
"""

from alembic import op

revision = "20261129_memory_entries"
down_revision = "20261129_queue_state"


def upgrade() -> None:
    """Add the column, and move the pending entries into the index."""
    op.execute("ALTER TABLE users ADD COLUMN max_memory_entries integer")
    op.execute("ALTER INDEX ix_memory_entries_search SET (fastupdate = off)")
    op.execute("SELECT gin_clean_pending_list('ix_memory_entries_search')")
