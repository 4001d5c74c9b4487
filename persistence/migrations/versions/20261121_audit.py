"""The sealed chain of the audit log, usage by day, and the indexes of long lists.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

APPEND_ONLY = ("audit_log", "audit_seals")

REFUSE = """
CREATE FUNCTION perdure_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege',
        HINT = 'Entries are written once and kept; see docs/guides/audit.md.';
END
$$
"""

QUEUE = """
CREATE FUNCTION perdure_queue_for_sealing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (audit_id) VALUES (NEW.id);
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Apply."""
    _audit()


def downgrade() -> None:
    """Take back."""
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    op.execute("DROP TRIGGER audit_log_queue ON audit_log")
    op.execute("DROP FUNCTION perdure_refuse_change()")
    op.execute("DROP FUNCTION perdure_queue_for_sealing()")
    op.drop_table("audit_seals")
    op.drop_table("audit_unsealed")
    for index in ("owner_id_id", "action_id", "entity_type_id", "entity_id_id"):
        op.drop_index(f"ix_audit_log_{index}", table_name="audit_log")
    op.drop_column("audit_log", "owner_id")
    op.create_index(
        "ix_audit_log_entity_type_entity_id_id", "audit_log", ["entity_type", "entity_id", "id"]
    )


def _audit() -> None:
    op.add_column("audit_log", sa.Column("owner_id", sa.Uuid(), nullable=True))
    op.drop_index("ix_audit_log_entity_type_entity_id_id", table_name="audit_log")
    for column in ("owner_id", "action", "entity_type", "entity_id"):
        op.create_index(f"ix_audit_log_{column}_id", "audit_log", [column, "id"])
    op.create_table(
        "audit_unsealed",
        sa.Column("audit_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit_unsealed")),
    )
    op.create_table(
        "audit_seals",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("audit_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_seals")),
        sa.UniqueConstraint("audit_id", name=op.f("uq_audit_seals_audit_id")),
    )
    op.execute(REFUSE)
    op.execute(QUEUE)
    # What was written before waits for the sealer like anything else.
    op.execute("INSERT INTO audit_unsealed (audit_id) SELECT id FROM audit_log")
    op.execute(
        "CREATE TRIGGER audit_log_queue AFTER INSERT ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION perdure_queue_for_sealing()"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION perdure_refuse_change()"
        )
