"""Memory: entries, their versions, and grants.

Revision ID: 20261128_memory
Revises: 20261128_plan_generations
"""

from alembic import op

revision = "20261128_memory"
down_revision = "20261128_plan_generations"


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
        CREATE TABLE memory_entries (
            id uuid NOT NULL,
            user_id uuid NOT NULL,
            namespace text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            version integer NOT NULL,
            memory_type text NOT NULL,
            value json NOT NULL,
            created_by text,
            execution_id uuid,
            stored_bytes bigint NOT NULL,
            search tsvector NOT NULL,
            expires_at timestamptz,
            created_at timestamptz DEFAULT now() NOT NULL,
            updated_at timestamptz DEFAULT now() NOT NULL,
            deleted_at timestamptz,
            CONSTRAINT pk_memory_entries PRIMARY KEY (id),
            CONSTRAINT fk_memory_entries_user_id FOREIGN KEY (user_id) REFERENCES users (id)
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_memory_entries_user_id_namespace_key
        ON memory_entries (user_id, namespace, key)
    """)
    op.execute("""
        CREATE INDEX ix_memory_entries_user_id_id ON memory_entries (user_id, id)
        WHERE deleted_at IS NULL
    """)
    op.execute("""
        CREATE INDEX ix_memory_entries_user_id_stored_bytes
        ON memory_entries (user_id, stored_bytes)
    """)
    op.execute("""
        CREATE INDEX ix_memory_entries_search ON memory_entries USING gin (search)
        WHERE deleted_at IS NULL
    """)
    op.execute("""
        CREATE INDEX ix_memory_entries_expires_at ON memory_entries (expires_at)
        WHERE expires_at IS NOT NULL AND deleted_at IS NULL
    """)
    op.execute("""
        CREATE TABLE memory_versions (
            entry_id uuid NOT NULL,
            version integer NOT NULL,
            memory_type text NOT NULL,
            value json NOT NULL,
            is_deletion boolean NOT NULL,
            created_by text,
            execution_id uuid,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_memory_versions PRIMARY KEY (entry_id, version),
            CONSTRAINT fk_memory_versions_entry_id FOREIGN KEY (entry_id)
                REFERENCES memory_entries (id) ON DELETE CASCADE
        )
    """)
    op.execute("""
        CREATE TABLE memory_grants (
            id uuid NOT NULL,
            user_id uuid NOT NULL,
            grantee_id uuid NOT NULL,
            namespace text NOT NULL,
            mode text NOT NULL,
            created_at timestamptz DEFAULT now() NOT NULL,
            CONSTRAINT pk_memory_grants PRIMARY KEY (id),
            CONSTRAINT fk_memory_grants_user_id FOREIGN KEY (user_id) REFERENCES users (id),
            CONSTRAINT fk_memory_grants_grantee_id FOREIGN KEY (grantee_id) REFERENCES users (id)
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_memory_grants_user_id_grantee_id_namespace
        ON memory_grants (user_id, grantee_id, namespace)
    """)
    op.execute("CREATE INDEX ix_memory_grants_grantee_id ON memory_grants (grantee_id, id)")
