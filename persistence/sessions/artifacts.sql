-- Which artifacts an execution may read.

-- name: is_related
-- Whether an artifact belongs to an execution, to another one of its tree or its session, or to one
-- that it was forked from. Both sides are followed upwards, which is a few steps.
WITH RECURSIVE reader AS (
    SELECT id, user_id, session_id, parent_execution_id, forked_from_id
    FROM executions WHERE id = :execution_id
    UNION
    SELECT e.id, e.user_id, e.session_id, e.parent_execution_id, e.forked_from_id
    FROM reader JOIN executions e
        ON e.id = ANY (ARRAY[reader.parent_execution_id, reader.forked_from_id])
),
writer AS (
    SELECT e.id, e.user_id, e.session_id, e.parent_execution_id
    FROM artifacts a JOIN executions e ON e.id = a.execution_id WHERE a.id = :artifact_id
    UNION
    SELECT e.id, e.user_id, e.session_id, e.parent_execution_id
    FROM writer JOIN executions e ON e.id = writer.parent_execution_id
)
SELECT EXISTS (
    SELECT FROM reader JOIN writer ON writer.user_id = reader.user_id
        AND (writer.id = reader.id OR writer.session_id = reader.session_id)
)
