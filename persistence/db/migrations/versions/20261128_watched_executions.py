"""Executions that a client watches notify of each event.

Revision ID: 20261128_watched
Revises: 20261128_scripted
"""

from alembic import op

revision = "20261128_watched"
down_revision = "20261128_scripted"

FUNCTION = """
CREATE FUNCTION perdure_publish() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('perdure_live',
        json_build_object('execution_id', NEW.id, 'seq', NEW.event_seq)::text);
    RETURN NULL;
END
$$
"""

# Without a client the condition is all that a step costs.
TRIGGER = """
CREATE TRIGGER executions_publish AFTER UPDATE OF event_seq ON executions FOR EACH ROW
WHEN (NEW.watched_until > now() AND NEW.event_seq <> OLD.event_seq)
EXECUTE FUNCTION perdure_publish()
"""


def upgrade() -> None:
    """Add the column and the trigger."""
    op.execute("ALTER TABLE executions ADD COLUMN watched_until timestamptz")
    op.execute(FUNCTION)
    op.execute(TRIGGER)
