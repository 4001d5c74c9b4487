"""Who chose the agent of a session, and why.

Revision ID: 20261128_session_agents
Revises: 20261128_plan_starts
"""

from alembic import op

revision = "20261128_session_agents"
down_revision = "20261128_plan_starts"


def upgrade() -> None:
    """Add the columns; the agents of existing conversations were chosen by their users."""
    op.execute("ALTER TABLE sessions ADD COLUMN agent_source text, ADD COLUMN agent_reason text")
    op.execute("UPDATE sessions SET agent_source = 'user' WHERE is_interactive IS true")
