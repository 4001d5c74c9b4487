"""A function that locks an execution which can end alone.

Revision ID: 20261129_lone_ends
Revises: 20261129_artifact_retention
"""

from alembic import op

revision = "20261129_lone_ends"
down_revision = "20261129_artifact_retention"

# The locks in the order of `persistence/db/locks.py`. Each statement of the function sees what was
# committed before it, so it finds what was added while a lock was awaited.
FUNCTION = """
CREATE FUNCTION perdure_lock_lone_end(given uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    its_session uuid;
BEGIN
    SELECT session_id INTO its_session FROM executions WHERE id = given;
    PERFORM FROM sessions WHERE id = its_session FOR NO KEY UPDATE;
    PERFORM FROM executions WHERE id = given AND session_id IS NOT DISTINCT FROM its_session
    FOR NO KEY UPDATE;
    RETURN FOUND AND NOT EXISTS (
        SELECT FROM execution_prerequisites WHERE prerequisite_id = given
    ) AND NOT EXISTS (
        SELECT FROM executions WHERE session_id = its_session
            AND status = 'blocked' AND status_reason = 'session_busy'
    ) AND NOT EXISTS (
        SELECT FROM signals WHERE execution_id = given AND kind = 'message' AND consumed_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM model_calls WHERE execution_id = given AND status = 'intended'
    ) AND NOT EXISTS (
        SELECT FROM plan_generations WHERE execution_id = given AND plan_id IS NULL
    );
END
$$
"""


def upgrade() -> None:
    """Create the function."""
    op.execute(FUNCTION)
