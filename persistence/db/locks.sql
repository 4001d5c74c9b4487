-- name: lock_affected
-- The beginning of statements that lock an execution and those that its end changes: the sessions first, then the executions.
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

-- name: lock_alone
-- Locks what the completion of an execution changes if nothing else follows from it: its session and
-- itself. Returns a row if that is all: it was not cancelled, and no execution and no plan waits.
WITH locked_session AS (
    SELECT id FROM sessions
    WHERE id = (SELECT session_id FROM executions WHERE id = :execution_id)
    FOR NO KEY UPDATE
),
locked_execution AS (
    SELECT id, session_id, cancel_requested_at FROM executions
    WHERE id = :execution_id AND (SELECT count(*) FROM locked_session) >= 0
    FOR NO KEY UPDATE
)
SELECT true AS is_alone FROM locked_execution ending
WHERE cancel_requested_at IS NULL
    AND NOT EXISTS (SELECT FROM execution_prerequisites WHERE prerequisite_id = ending.id)
    AND NOT EXISTS (
        SELECT FROM executions
        WHERE session_id = ending.session_id AND status = 'blocked'
            AND status_reason = 'session_busy'
    )
    AND NOT EXISTS (
        SELECT FROM plan_generations WHERE execution_id = ending.id AND plan_id IS NULL
    )
