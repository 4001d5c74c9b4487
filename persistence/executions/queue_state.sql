-- The state of the queue of external work.

-- name: list_pending
-- Reads only the index of claimable work: an id (UUIDv7) has the time of creation.
SELECT agent_id, count(*) AS count,
    uuid_extract_timestamp(CAST(min(CAST(id AS text)) AS uuid)) AS oldest_at
FROM executions WHERE $claimable GROUP BY agent_id

-- name: count_claimed
-- Leases that have not ended.
SELECT count(*) FROM executions WHERE lease_expires_at > clock_timestamp()

-- name: list_affected
-- The unfinished parts of an execution, those that wait for it, and theirs.
WITH RECURSIVE affected AS (
    SELECT CAST(:id AS uuid) AS id
    UNION
    SELECT dependent.id FROM affected, LATERAL (
        SELECT e.id FROM executions e
        WHERE e.parent_execution_id = affected.id AND e.status NOT IN ($terminal)
        UNION ALL
        SELECT e.id FROM execution_prerequisites p JOIN executions e ON e.id = p.execution_id
        WHERE p.prerequisite_id = affected.id AND e.status = 'blocked'
    ) AS dependent
)
SELECT id FROM affected WHERE id <> :id ORDER BY id
