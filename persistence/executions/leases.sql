-- Leases of external executions, on the database's clock. The conditions on the status before are
-- built from `domain.executions.states.TRANSITIONS` by leases.py.

-- name: claim_next
-- Gives the first claimable execution of a user to a worker. Rows that other claims lock are skipped.
WITH picked AS (
    SELECT id, started_at FROM executions WHERE $available AND user_id = :user_id
    ORDER BY calculated_priority DESC, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
),
$give_lease

-- name: claim_next_of_agent
-- The same for the work of one agent.
WITH picked AS (
    SELECT id, started_at FROM executions
    WHERE $available AND user_id = :user_id AND agent_id = :agent_id
    ORDER BY calculated_priority DESC, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
),
$give_lease

-- name: claim_next_without_agent
-- The same for work that names no agent.
WITH picked AS (
    SELECT id, started_at FROM executions
    WHERE $available AND user_id = :user_id AND agent_id IS NULL
    ORDER BY calculated_priority DESC, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
),
$give_lease

-- name: list_first
-- The first `:limit` claimable executions of each of these agents, the first of all first; null is
-- the agent of work that names none. The branches are separate so that each uses the index.
SELECT given.agent_id FROM unnest(CAST(:agent_ids AS text[])) AS given (agent_id),
    LATERAL (
        (SELECT calculated_priority, id FROM executions
        WHERE $available AND user_id = :user_id AND agent_id = given.agent_id
        ORDER BY calculated_priority DESC, id LIMIT :limit)
        UNION ALL
        (SELECT calculated_priority, id FROM executions
        WHERE $available AND user_id = :user_id AND given.agent_id IS NULL AND agent_id IS NULL
        ORDER BY calculated_priority DESC, id LIMIT :limit)
    ) AS first
ORDER BY first.calculated_priority DESC, first.id

-- name: count_available
SELECT count(*) FROM (
    SELECT FROM executions WHERE $available AND user_id = :user_id LIMIT :limit
) AS found

-- name: claim
-- Gives one locked execution to a worker, if it is claimable.
WITH picked AS (
    SELECT id, started_at FROM executions WHERE id = :execution_id AND $available
),
$give_lease

-- name: read
WITH claimed AS (SELECT * FROM executions WHERE id = :execution_id)
$select_work

-- name: store_report
-- Stores the report of the worker that has a locked execution.
WITH reported AS (
    UPDATE executions e SET $store_report
    WHERE id = :execution_id AND $held
    RETURNING id, user_id
),
audited AS ($audit_report FROM reported)
SELECT id FROM reported

-- name: renew
-- Extends a lease that has not ended. With a progress the count of lost attempts starts again.
UPDATE executions SET
    lease_seconds = coalesce(:lease_seconds, lease_seconds),
    lease_expires_at =
        clock_timestamp() + make_interval(secs => coalesce(:lease_seconds, lease_seconds)),
    stalled_attempts = CASE WHEN :has_progress THEN 0 ELSE stalled_attempts END
WHERE id = :execution_id AND $held
RETURNING lease_expires_at

-- name: is_held
SELECT id FROM executions WHERE id = :execution_id AND $held

-- name: put_back
-- Ends the lease of a locked execution: it becomes claimable again, or blocked.
WITH returned AS (
    UPDATE executions SET
        status = :status, status_reason = :reason, event_seq = event_seq + 1,
        claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL,
        stalled_attempts = CASE WHEN :is_lost THEN stalled_attempts + 1
            WHEN :has_progress THEN 0 ELSE stalled_attempts END
    WHERE id = :execution_id AND $running
    RETURNING id, event_seq
)
INSERT INTO execution_events (execution_id, seq, type, data)
SELECT id, event_seq, 'execution.status_changed',
    json_strip_nulls(json_build_object(
        'status', CAST(:status AS text), 'reason', CAST(:reason AS text),
        'message', CAST(:message AS text)))
FROM returned

-- name: unblock
-- Makes a locked execution claimable again that its worker blocked.
WITH released AS (
    UPDATE executions SET status = 'pending', status_reason = NULL, event_seq = event_seq + 1
    WHERE id = :execution_id AND $blocked_to_pending AND status_reason = $worker_blocked
    RETURNING id, event_seq
)
INSERT INTO execution_events (execution_id, seq, type, data)
SELECT id, event_seq, 'execution.status_changed', '{"status": "pending", "reason": "resumed"}'
FROM released
RETURNING execution_id

-- name: return_expired
-- Returns the work of leases that ran out, except where it was lost too often.
WITH expired AS (
    SELECT id FROM executions
    WHERE $expired AND stalled_attempts + 1 < $most_lost
    ORDER BY lease_expires_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
),
returned AS (
    UPDATE executions e SET
        status = 'pending', status_reason = 'lease_expired', event_seq = event_seq + 1,
        claimed_by = NULL, claimed_at = NULL, lease_token = NULL, lease_expires_at = NULL,
        stalled_attempts = stalled_attempts + 1
    FROM expired WHERE e.id = expired.id
    RETURNING e.id, e.event_seq
)
INSERT INTO execution_events (execution_id, seq, type, data)
SELECT id, event_seq, 'execution.status_changed',
    '{"status": "pending", "reason": "lease_expired"}'
FROM returned
RETURNING execution_id

-- name: list_lost
-- The executions whose lease ran out once more than allowed.
SELECT id FROM executions
WHERE $expired AND stalled_attempts + 1 >= $most_lost
ORDER BY lease_expires_at LIMIT :limit

-- name: is_lost
SELECT id FROM executions
WHERE id = :execution_id AND $expired AND stalled_attempts + 1 >= $most_lost
