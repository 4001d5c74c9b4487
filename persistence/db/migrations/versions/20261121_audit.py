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
    _usage()
    _old_rows()
    _lists()


def downgrade() -> None:
    """Take back."""
    op.drop_table("execution_tags")
    op.drop_index("ix_executions_parent_execution_id_id", table_name="executions")
    op.create_index("ix_executions_parent_execution_id", "executions", ["parent_execution_id"])
    op.drop_index("ix_outbox_consumed_at", table_name="signals")
    op.drop_index("ix_executions_completed_at", table_name="executions")
    op.drop_table("usage_closed_days")
    op.drop_table("usage_days")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    op.execute("DROP TRIGGER audit_log_queue ON audit_log")
    op.execute("DROP FUNCTION perdure_refuse_change()")
    op.execute("DROP FUNCTION perdure_queue_for_sealing()")
    op.drop_table("audit_seals")
    op.drop_table("audit_unsealed")
    for index in ("owner_id_id", "action_id", "entity_type_id", "entity_id_id"):
        op.drop_index(f"ix_audit_log_{index}", table_name="audit_log")
    op.drop_index("ix_audit_log_actor_id_id_of_others", table_name="audit_log")
    op.drop_column("audit_log", "owner_id")
    op.create_index(
        "ix_audit_log_entity_type_entity_id_id", "audit_log", ["entity_type", "entity_id", "id"]
    )


def _audit() -> None:
    op.add_column("audit_log", sa.Column("owner_id", sa.Uuid(), nullable=True))
    op.drop_index("ix_audit_log_entity_type_entity_id_id", table_name="audit_log")
    for column in ("owner_id", "action", "entity_type", "entity_id"):
        op.create_index(f"ix_audit_log_{column}_id", "audit_log", [column, "id"])
    op.create_index(
        "ix_audit_log_actor_id_id_of_others",
        "audit_log",
        ["actor_id", "id"],
        postgresql_where=sa.text("owner_id IS DISTINCT FROM actor_id"),
    )
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


def _usage() -> None:
    counters = ("executions", "completed", "failed", "cancelled", "input_tokens", "output_tokens")
    more = ("cache_read_tokens", "cache_write_tokens", "running_ms", "human_wait_ms")
    op.create_table(
        "usage_days",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in (*counters, *more)),
        sa.Column("cost_usd", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_days")),
    )
    op.create_index("ix_usage_days_day", "usage_days", ["day"])
    op.create_index("ix_usage_days_user_id_day", "usage_days", ["user_id", "day"])
    op.create_table(
        "usage_closed_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "closed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_usage_closed_days")),
    )
    op.create_index(
        "ix_executions_completed_at",
        "executions",
        ["completed_at"],
        postgresql_where=sa.text("completed_at IS NOT NULL"),
    )


def _old_rows() -> None:
    """What is put away by its age is found by it."""
    op.create_index(
        "ix_outbox_consumed_at",
        "signals",
        ["consumed_at"],
        postgresql_where=sa.text("consumed_at IS NOT NULL"),
    )


def _lists() -> None:
    """A list's order stands in its index: what must be sorted first has to be read whole."""
    op.drop_index("ix_executions_parent_execution_id", table_name="executions")
    op.create_index(
        "ix_executions_parent_execution_id_id",
        "executions",
        ["parent_execution_id", "id"],
        postgresql_where=sa.text("parent_execution_id IS NOT NULL"),
    )
    op.create_table(
        "execution_tags",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "tag", "execution_id", name=op.f("pk_execution_tags")),
    )
