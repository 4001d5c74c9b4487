-- The calculated priorities of external executions; the formula is `domain.executions.priority`.

-- name: set_depths
UPDATE executions SET dependency_depth = given.depth
FROM unnest(CAST(:ids AS uuid[]), CAST(:depths AS int[])) AS given (id, depth)
WHERE executions.id = given.id

-- name: mark_outdated
INSERT INTO outdated_priorities (execution_id)
SELECT id FROM executions WHERE id = ANY(:ids) AND executor = 'external'
    AND status NOT IN ($terminal)

-- name: find_changes
SELECT EXISTS (SELECT FROM outdated_priorities) AS has_marks, EXISTS (
    SELECT FROM executions
    WHERE $is_due
) AS has_due

-- name: take_marks
-- Marks that another worker takes are skipped.
DELETE FROM outdated_priorities WHERE id IN (
    SELECT id FROM outdated_priorities ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
) RETURNING execution_id

-- name: lock
SELECT id FROM executions WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE

-- name: lock_due
SELECT id FROM executions
WHERE $is_due
ORDER BY priority_changes_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED

-- name: read_facts
-- What priorities are computed from. Executions that wait are counted up to the number that matters.
SELECT e.id, e.priority, e.source, e.dependency_depth, e.deadline_at,
    e.estimated_duration_seconds, clock_timestamp() AS now, (
        SELECT count(*) FROM (
            SELECT FROM execution_prerequisites p JOIN executions d ON d.id = p.execution_id
            WHERE p.prerequisite_id = e.id AND d.status = 'blocked'
            LIMIT $most_counted
        ) AS counted
    ) AS waiting
FROM executions e
WHERE e.id = ANY(:ids) AND e.executor = 'external' AND e.status NOT IN ($terminal)

-- name: store
UPDATE executions e SET
    calculated_priority = given.priority, priority_changes_at = given.changes_at
FROM unnest(
    CAST(:ids AS uuid[]), CAST(:priorities AS float8[]), CAST(:changes_at AS timestamptz[])
) AS given (id, priority, changes_at)
WHERE e.id = given.id
    AND (e.calculated_priority, e.priority_changes_at)
        IS DISTINCT FROM (given.priority, given.changes_at)
