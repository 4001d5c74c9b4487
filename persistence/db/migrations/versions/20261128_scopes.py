"""The scopes of API keys.

Revision ID: 20261128_scopes
Revises: 20261128_models
"""

from alembic import op

revision = "20261128_scopes"
down_revision = "20261128_models"


def upgrade() -> None:
    """Add the column; earlier keys have no scope."""
    op.execute("ALTER TABLE api_keys ADD COLUMN scopes text[] DEFAULT '{}' NOT NULL")
