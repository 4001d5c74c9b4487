-- name: lock_dependents
-- Locks the blocked executions that wait for one of `ended`, those that wait for these, and so on.
-- Each comes with one of the executions that it waited for.
WITH RECURSIVE dependents AS (
    SELECT p.execution_id AS id
    FROM execution_prerequisites p JOIN executions e ON e.id = p.execution_id
    WHERE p.prerequisite_id = ANY(:ended)
        AND e.status = 'blocked' AND e.status_reason = 'prerequisites'
    UNION
    SELECT p.execution_id
    FROM dependents d JOIN execution_prerequisites p ON p.prerequisite_id = d.id
        JOIN executions e ON e.id = p.execution_id
    WHERE e.status = 'blocked' AND e.status_reason = 'prerequisites'
),
reasons AS (
    SELECT DISTINCT ON (p.execution_id) p.execution_id AS id, p.prerequisite_id
    FROM dependents d JOIN execution_prerequisites p ON p.execution_id = d.id
    WHERE p.prerequisite_id = ANY(:ended) OR p.prerequisite_id IN (SELECT id FROM dependents)
    ORDER BY p.execution_id, p.prerequisite_id
)
SELECT e.id, reasons.prerequisite_id FROM executions e JOIN reasons ON reasons.id = e.id
WHERE e.status = 'blocked' AND e.status_reason = 'prerequisites'
ORDER BY e.id FOR NO KEY UPDATE OF e
