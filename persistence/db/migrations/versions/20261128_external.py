"""Leases of external executions.

Revision ID: 20261128_external
Revises: 20261128_elicitations
"""

from alembic import op

revision = "20261128_external"
down_revision = "20261128_elicitations"

CLAIMABLE = "status = 'pending' AND executor = 'external'"


def upgrade() -> None:
    """Add the columns of a lease, and the indexes of the queue."""
    op.execute("""
        ALTER TABLE executions
            ADD COLUMN claimed_by text,
            ADD COLUMN claimed_at timestamptz,
            ADD COLUMN lease_token uuid,
            ADD COLUMN lease_seconds double precision,
            ADD COLUMN lease_expires_at timestamptz
    """)
    op.execute(f"""
        CREATE INDEX ix_executions_claimable ON executions (user_id, priority DESC, id)
        WHERE {CLAIMABLE}
    """)
    op.execute(f"""
        CREATE INDEX ix_executions_claimable_agent_id
        ON executions (user_id, agent_id, priority DESC, id) WHERE {CLAIMABLE}
    """)
    op.execute("""
        CREATE INDEX ix_executions_lease_expires_at ON executions (lease_expires_at)
        WHERE lease_expires_at IS NOT NULL
    """)
