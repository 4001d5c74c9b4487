"""The schema of the first release, in the SQL file beside this one.

Revision ID: 20261128
Revises: nothing
"""

from pathlib import Path

from alembic import op

revision = "20261128"
down_revision = None


def upgrade() -> None:
    """Create every table, index, function and trigger."""
    source = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    for statement in source.split(";\n\n"):
        op.execute(statement)
