"""The rows that protect stored files from garbage collection.

Revision ID: 20261128_blobs
Revises: 20261128_memory_calls
"""

from alembic import op

revision = "20261128_blobs"
down_revision = "20261128_memory_calls"


def upgrade() -> None:
    """Create the table, with a row for every file that is stored."""
    op.execute("""
        CREATE TABLE blobs (
            sha256 text NOT NULL CONSTRAINT pk_blobs PRIMARY KEY,
            size_bytes bigint NOT NULL,
            used_at timestamp with time zone DEFAULT now() NOT NULL
        )
    """)
    op.execute("CREATE INDEX ix_blobs_used_at ON blobs (used_at)")
    op.execute("CREATE INDEX ix_artifacts_sha256 ON artifacts (sha256)")
    op.execute("""
        INSERT INTO blobs (sha256, size_bytes)
        SELECT sha256, max(size_bytes) FROM artifacts GROUP BY sha256
    """)
