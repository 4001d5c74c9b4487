"""Notifications of reminders, escalations and mentions.

Revision ID: 20261128_reminders
Revises: 20261128_held_answers
"""

from alembic import op

revision = "20261128_reminders"
down_revision = "20261128_held_answers"

FUNCTION = """
CREATE OR REPLACE FUNCTION perdure_notify() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner uuid;
    task uuid;
    config jsonb;
BEGIN
    SELECT user_id, task_id, notification_config INTO owner, task, config FROM executions
    WHERE id = NEW.execution_id AND notification_config IS NOT NULL
        -- A subtask notifies only when it asks a person.
        AND (parent_execution_id IS NULL OR NEW.type LIKE 'input.%');
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM tasks WHERE id = task AND user_id <> owner;
    IF FOUND THEN
        -- The targets of another user's public task are not notified.
        RETURN NULL;
    END IF;
    INSERT INTO notifications (id, message_id, user_id, execution_id, event_seq, type, kind,
        position, target, status, start_at)
    SELECT new_id, new_id, owner, NEW.execution_id, NEW.seq, NEW.type, kind, position,
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
            'input.requested', 'input.reminded', 'input.escalated')
        END;
    IF FOUND THEN
        PERFORM pg_notify('perdure_notifications', '');
    END IF;
    RETURN NULL;
END
$$;
"""


def upgrade() -> None:
    """Let the trigger notify of more events; reminders and escalations by default."""
    op.execute(FUNCTION)
    op.execute("DROP TRIGGER execution_events_notify ON execution_events")
    op.execute("""
        CREATE TRIGGER execution_events_notify AFTER INSERT ON execution_events FOR EACH ROW
        WHEN (NEW.type IN ('execution.started', 'execution.completed', 'execution.failed',
            'execution.cancelled', 'input.requested', 'input.answered', 'input.expired',
            'input.reminded', 'input.escalated', 'input.mentioned', 'report.ready'))
        EXECUTE FUNCTION perdure_notify()
    """)
