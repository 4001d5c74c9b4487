"""Notifications, their deliveries, and secrets.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

# Whoever tells an event, in whichever statement, notifies of it in the same transaction. An
# execution without a configuration costs one look at its row, which the statement has just touched;
# events that nobody can be notified of cost nothing (the WHEN clause of the trigger).
NOTIFY = """
CREATE FUNCTION perdure_notify() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whose uuid;
    of_task uuid;
    config jsonb;
BEGIN
    SELECT user_id, task_id, notification_config INTO whose, of_task, config FROM executions
    WHERE id = NEW.execution_id AND notification_config IS NOT NULL
        -- A subtask is nobody's business until it asks somebody.
        AND (parent_execution_id IS NULL OR NEW.type LIKE 'input.%');
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM tasks WHERE id = of_task AND user_id <> whose;
    IF FOUND THEN
        -- What somebody else's public task is configured for is not told of my runs of it.
        RETURN NULL;
    END IF;
    INSERT INTO notifications (id, message_id, user_id, execution_id, event_seq, type, kind,
        position, target, status, start_at)
    SELECT new_id, new_id, whose, NEW.execution_id, NEW.seq, NEW.type, kind, position,
        target - 'events', 'pending', now()
    FROM (
        SELECT uuidv7() AS new_id, field.kind, CAST(given.n AS int) AS position,
            CASE jsonb_typeof(given.value) WHEN 'string' THEN jsonb_build_object('to', given.value)
                ELSE given.value END AS target
        FROM (VALUES ('webhook', 'webhooks'), ('email', 'email'), ('slack', 'slack'))
                AS field (kind, name),
            jsonb_array_elements(
                CASE jsonb_typeof(config -> field.name) WHEN 'array' THEN config -> field.name
                    ELSE '[]' END
            ) WITH ORDINALITY AS given (value, n)
        WHERE jsonb_typeof(given.value) IN ('object', 'string')
    ) AS targets
    WHERE CASE jsonb_typeof(target -> 'events')
        WHEN 'array' THEN target -> 'events' ? NEW.type
        ELSE NEW.type IN ('execution.completed', 'execution.failed', 'execution.cancelled',
            'input.requested')
        END;
    IF FOUND THEN
        PERFORM pg_notify('perdure_notifications', '');
    END IF;
    RETURN NULL;
END
$$
"""

TRIGGER = """
CREATE TRIGGER execution_events_notify AFTER INSERT ON execution_events FOR EACH ROW
WHEN (NEW.type IN ('execution.started', 'execution.completed', 'execution.failed',
    'execution.cancelled', 'input.requested', 'input.answered', 'input.expired', 'report.ready'))
EXECUTE FUNCTION perdure_notify()
"""


def upgrade() -> None:
    """Apply."""
    _secrets()
    op.add_column(
        "executions",
        sa.Column("notification_config", JSONB(none_as_null=True), nullable=True),
    )
    _notifications()
    _attempts()
    op.execute(NOTIFY)
    op.execute(TRIGGER)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TRIGGER execution_events_notify ON execution_events")
    op.execute("DROP FUNCTION perdure_notify()")
    op.drop_table("notification_attempts")
    op.drop_table("notifications")
    op.drop_column("executions", "notification_config")
    op.drop_table("secrets")


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("hosts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("tools", sa.JSON(none_as_null=True), nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_secrets_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_secrets")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_secrets_user_id_name")),
    )
    op.create_index("ix_secrets_user_id_id", "secrets", ["user_id", "id"])


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("execution_id", sa.Uuid(), nullable=True),
        sa.Column("event_seq", sa.Integer(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("target", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        _now("created_at"),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notifications_user_id")),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["executions.id"], name=op.f("fk_notifications_execution_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    for columns in (("id",), ("status", "id"), ("kind", "id"), ("execution_id", "id")):
        op.create_index(
            f"ix_notifications_user_id_{'_'.join(columns)}", "notifications", ["user_id", *columns]
        )
    op.create_index("ix_notifications_execution_id", "notifications", ["execution_id"])
    op.create_index(
        "uq_notifications_event_target",
        "notifications",
        ["execution_id", "event_seq", "kind", "position"],
        unique=True,
        postgresql_where=sa.text("id = message_id"),
    )
    op.create_index(
        "ix_notifications_start_at",
        "notifications",
        ["start_at"],
        postgresql_where=sa.text("status = 'pending'"),
    )


def _attempts() -> None:
    op.create_table(
        "notification_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        _now("started_at"),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("excerpt", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notifications.id"],
            name=op.f("fk_notification_attempts_notification_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_attempts")),
    )
    op.create_index(
        "uq_notification_attempts_notification_id_number",
        "notification_attempts",
        ["notification_id", "number"],
        unique=True,
    )


def _now(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )
