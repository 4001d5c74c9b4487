"""What became of each fire of a schedule.

Revision ID: 0004
Revises: 0003
"""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing yet."""
