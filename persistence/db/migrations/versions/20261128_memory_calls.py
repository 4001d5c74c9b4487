"""The tool calls that write memory entries.

Revision ID: 20261128_memory_calls
Revises: 20261128_session_agents
"""

from alembic import op

revision = "20261128_memory_calls"
down_revision = "20261128_session_agents"


def upgrade() -> None:
    """Add the column; no tool call wrote an earlier version."""
    op.execute("ALTER TABLE memory_versions ADD COLUMN tool_use_id text")
