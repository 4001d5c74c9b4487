-- name: lock_affected
-- The beginning of a statement that locks an execution and those that its end changes: the sessions
-- first, then the executions.
--
-- If it ends its dependents, as all ends but a completion do: everything below it, what waits for it
-- or for one of those, and so on. If it is completed: what waits for it, with the sessions in which
-- that queues. An end also frees the execution's own session for the next that waits there.
WITH RECURSIVE affected AS (
    SELECT id, session_id, true AS is_first,
        CAST(:ends_dependents AS boolean) OR cancel_requested_at IS NOT NULL AS ends_dependents
    FROM executions WHERE id = :execution_id
    UNION
    SELECT dependent.id, dependent.session_id, false, ends_dependents
    FROM affected, LATERAL (
        SELECT id, session_id FROM executions
        WHERE parent_execution_id = affected.id AND affected.ends_dependents
        UNION ALL
        SELECT e.id, e.session_id
        FROM execution_prerequisites p JOIN executions e ON e.id = p.execution_id
        WHERE p.prerequisite_id = affected.id
    ) AS dependent
    WHERE is_first OR ends_dependents
),
locked_sessions AS (
    SELECT id FROM sessions
    WHERE CAST(:is_end AS boolean)
        AND id = ANY(ARRAY(
            SELECT session_id FROM affected WHERE is_first OR NOT ends_dependents
        ))
    ORDER BY id FOR NO KEY UPDATE
),
next_in_session AS (
    SELECT id FROM executions
    WHERE CAST(:is_end AS boolean)
        AND session_id = (SELECT session_id FROM affected WHERE is_first)
        AND status = 'blocked' AND status_reason = 'session_busy'
    ORDER BY id LIMIT 1
),
locked_executions AS (
    SELECT id FROM executions
    WHERE (SELECT count(*) FROM locked_sessions) >= 0
        AND id = ANY(ARRAY(SELECT id FROM affected UNION ALL SELECT id FROM next_in_session))
        AND (id = :execution_id OR status NOT IN ($terminal))
    ORDER BY id FOR NO KEY UPDATE
)

-- name: lock_session_of
SELECT s.id FROM executions e JOIN sessions s ON s.id = e.session_id
WHERE e.id = :execution_id FOR NO KEY UPDATE OF s
