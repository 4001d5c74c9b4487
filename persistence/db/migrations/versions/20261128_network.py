"""The network of agents, and the connections of tool calls.

Revision ID: 20261128_network
Revises: 20261128_plans
"""

from alembic import op

revision = "20261128_network"
down_revision = "20261128_plans"


def upgrade() -> None:
    """Add the columns; no earlier agent has a network, and no earlier call had connections."""
    op.execute("ALTER TABLE agents ADD COLUMN network json")
    op.execute("ALTER TABLE tool_calls ADD COLUMN connections json")
