-- The state of the queue of external work.

-- name: count_work
-- The external work of a user by agent and status, up to `:most` of each, the oldest ones. Only
-- ranges of one index are read; it also has the columns that are aggregated.
WITH RECURSIVE users AS (SELECT CAST(:user_id AS uuid) AS user_id),
$agents
SELECT agents.agent_id, statuses.status, found.*
FROM agents CROSS JOIN unnest(CAST(:statuses AS text[])) AS statuses (status), $counted
WHERE found.number > 0
ORDER BY agents.agent_id NULLS FIRST, statuses.status

-- name: find_newest
SELECT uuid_extract_timestamp(id) FROM executions
WHERE $queued AND user_id = :user_id ORDER BY id DESC LIMIT 1

-- name: list_pending
-- The external work of all users that waits for a worker, up to `:most` of each user and agent.
WITH RECURSIVE users AS (
    (SELECT user_id FROM executions WHERE $queued ORDER BY user_id, agent_id, status LIMIT 1)
    UNION ALL
    SELECT (
        SELECT user_id FROM executions WHERE $queued AND user_id > users.user_id
        ORDER BY user_id, agent_id, status LIMIT 1
    ) FROM users WHERE user_id IS NOT NULL
),
$agents
SELECT agents.agent_id, CAST(sum(found.number) AS bigint) AS number, min(found.oldest_at) AS oldest_at
FROM agents CROSS JOIN (VALUES ('pending')) AS statuses (status), $counted
WHERE found.number > 0
GROUP BY agents.agent_id

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

-- name: list_finished
-- Finished external work and its parts: the first `:limit` trees in which everything has ended, as
-- all above them has and all that waits for one of them, which reads its result.
WITH RECURSIVE tree AS (
    (
        SELECT top.id FROM executions top
        WHERE $queued AND user_id = :user_id AND status = ANY(:statuses)
            AND completed_at < :ended_before
            AND CASE WHEN CAST(:ids AS uuid[]) = '{}' THEN parent_execution_id IS NULL
                ELSE id = ANY(:ids) END
            AND NOT EXISTS (
                WITH RECURSIVE part AS (
                    SELECT top.id, top.status
                    UNION ALL
                    SELECT e.id, e.status FROM part
                        JOIN executions e ON e.parent_execution_id = part.id
                )
                SELECT FROM part WHERE status NOT IN ($terminal) OR EXISTS (
                    SELECT FROM execution_prerequisites p
                    WHERE p.prerequisite_id = part.id AND (
                        SELECT e.status FROM executions e WHERE e.id = p.execution_id
                    ) NOT IN ($terminal)
                )
            )
            AND NOT EXISTS (
                WITH RECURSIVE whole AS (
                    SELECT top.parent_execution_id, top.status
                    UNION ALL
                    SELECT e.parent_execution_id, e.status FROM whole
                        JOIN executions e ON e.id = whole.parent_execution_id
                )
                SELECT FROM whole WHERE status NOT IN ($terminal)
            )
        ORDER BY id LIMIT :limit
    )
    UNION
    -- OFFSET keeps this a search of the index for each execution; a join may read all work.
    SELECT part.id FROM tree, LATERAL (
        SELECT id FROM executions WHERE parent_execution_id = tree.id AND $queued OFFSET 0
    ) AS part
)
SELECT id FROM tree ORDER BY id
