"""The calculated priority of external executions, and what it is computed from.

Revision ID: 20261128_queue
Revises: 20261128_groups
"""

from alembic import op

revision = "20261128_queue"
down_revision = "20261128_groups"

CLAIMABLE = "status = 'pending' AND executor = 'external'"
PRIORITY_CHANGES = (
    "priority_changes_at IS NOT NULL AND executor = 'external' AND status IN ('pending', 'blocked')"
)


def upgrade() -> None:
    """Add the columns and indexes; a worker computes the priorities of what exists."""
    op.execute("""
        ALTER TABLE executions
            ADD COLUMN source text,
            ADD COLUMN estimated_duration_seconds double precision,
            ADD COLUMN input_data json,
            ADD COLUMN dependency_depth integer NOT NULL DEFAULT 0,
            ADD COLUMN calculated_priority double precision,
            ADD COLUMN priority_changes_at timestamptz
    """)
    op.execute("""
        CREATE TABLE outdated_priorities (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outdated_priorities PRIMARY KEY,
            execution_id uuid NOT NULL
        )
    """)
    op.execute("""
        UPDATE executions SET source = 'human', calculated_priority = 0
        WHERE executor = 'external'
    """)
    op.execute("""
        INSERT INTO outdated_priorities (execution_id)
        SELECT id FROM executions
        WHERE executor = 'external' AND status NOT IN ('completed', 'failed', 'cancelled')
    """)
    op.execute("DROP INDEX ix_executions_claimable, ix_executions_claimable_agent_id")
    op.execute(f"""
        CREATE INDEX ix_executions_claimable
        ON executions (user_id, calculated_priority DESC, id) WHERE {CLAIMABLE}
    """)
    op.execute(f"""
        CREATE INDEX ix_executions_claimable_agent_id
        ON executions (user_id, agent_id, calculated_priority DESC, id) WHERE {CLAIMABLE}
    """)
    op.execute(f"""
        CREATE INDEX ix_executions_priority_changes_at ON executions (priority_changes_at)
        WHERE {PRIORITY_CHANGES}
    """)
