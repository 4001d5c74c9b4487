"""The sealed chain of the audit log, and the indexes of long lists.

Revision ID: 0007
Revises: 0006
"""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing yet."""
