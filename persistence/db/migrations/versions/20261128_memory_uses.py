"""Which versions of memory entries an execution read or wrote; the memory of agents.

Revision ID: 20261128_memory_uses
Revises: 20261128_remembered_decisions
"""

from alembic import op

revision = "20261128_memory_uses"
down_revision = "20261128_remembered_decisions"


def upgrade() -> None:
    """Create the table, and move the tool calls of versions to it."""
    op.execute("""
        CREATE TABLE memory_uses (
            id uuid NOT NULL,
            execution_id uuid NOT NULL,
            tool_use_id text,
            entry_id uuid NOT NULL,
            namespace text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            version integer NOT NULL,
            action text NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_memory_uses PRIMARY KEY (id),
            CONSTRAINT fk_memory_uses_entry_id FOREIGN KEY (entry_id)
                REFERENCES memory_entries (id) ON DELETE CASCADE
        )
    """)
    op.execute("""
        INSERT INTO memory_uses
            (id, execution_id, tool_use_id, entry_id, namespace, key, version, action, created_at)
        SELECT uuidv7(), v.execution_id, v.tool_use_id, v.entry_id, e.namespace, e.key, v.version,
            CASE WHEN v.is_deletion THEN 'deleted' WHEN v.version = 1 THEN 'created'
                ELSE 'updated' END,
            v.created_at
        FROM memory_versions v JOIN memory_entries e ON e.id = v.entry_id
        WHERE v.execution_id IS NOT NULL
        ORDER BY v.created_at
    """)
    op.execute("ALTER TABLE memory_versions DROP COLUMN tool_use_id")
    op.execute("""
        CREATE INDEX ix_memory_uses_execution_id_id ON memory_uses (execution_id, id)
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_memory_uses_execution_id_tool_use_id_entry_id
        ON memory_uses (execution_id, tool_use_id, entry_id)
    """)
    op.execute("CREATE INDEX ix_memory_uses_entry_id ON memory_uses (entry_id)")
    op.execute("ALTER TABLE agents ADD COLUMN memory json")
