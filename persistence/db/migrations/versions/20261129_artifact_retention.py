"""How long the artifacts of a task's executions are kept.

Revision ID: 20261129_artifact_retention
Revises: 20261129_answer_links
"""

from alembic import op

revision = "20261129_artifact_retention"
down_revision = "20261129_answer_links"


def upgrade() -> None:
    """Add the column; without a value, artifacts are kept."""
    op.execute("ALTER TABLE tasks ADD COLUMN artifact_retention_seconds bigint")
