-- name: take
-- Makes the caller the one writer and reads what the execution pins. No row: a newer writer took it,
-- it has ended, the run is unknown, or the workspace is on another host. The workspace is assigned
-- to this host if a tool needs one and no host has it; the session is locked before the execution.
-- `is_first`: no segment was begun before.
WITH unplaced AS (
    SELECT s.id FROM executions e JOIN sessions s ON s.id = e.session_id
        JOIN prefixes p ON p.sha256 = e.prefix_sha256
    WHERE e.id = :execution_id AND s.workspace_host_id IS NULL
        AND CAST(p.body AS json) #> '{tools,0}' IS NOT NULL
    FOR NO KEY UPDATE OF s
),
before AS (
    SELECT id, epoch, segment FROM executions
    WHERE id = :execution_id AND (SELECT count(*) FROM unplaced) >= 0 FOR NO KEY UPDATE
),
taken AS (
    UPDATE executions SET
        segment = :segment, attempt = :attempt,
        stalled_attempts = CASE WHEN :attempt > 1 THEN stalled_attempts + 1 ELSE 0 END
    WHERE id = (SELECT id FROM before) AND $holds AND status NOT IN ($terminal) AND NOT EXISTS (
        SELECT FROM sessions s
        WHERE s.id = executions.session_id AND s.workspace_host_id <> :host_id
    )
    RETURNING *
),
claimed AS (
    UPDATE sessions SET workspace_host_id = :host_id
    FROM taken JOIN unplaced ON unplaced.id = taken.session_id
    WHERE sessions.id = unplaced.id
)
SELECT taken.id, taken.user_id, taken.session_id, taken.title, taken.status, taken.status_reason,
    taken.depth, taken.priority, taken.prefix_sha256, taken.deadline_at, taken.budget_usd,
    taken.running_ms, taken.stalled_attempts, taken.cost_usd, taken.epoch, taken.segment,
    taken.attempt, taken.error_code, taken.error_message,
    taken.pause_requested_at IS NOT NULL AS is_pause_requested, s.forked_from_session_id,
    (before.epoch, before.segment) = (0, 0) AS is_first,
    coalesce(taken.definition, v.definition) AS definition, p.body AS prefix,
    EXISTS (
        SELECT FROM tasks t WHERE t.id = taken.task_id AND t.user_id <> taken.user_id
    ) AS is_of_others,
    EXISTS (SELECT FROM budgets b WHERE b.execution_id = taken.id) AS is_budgeted,
    EXISTS (
        SELECT FROM signals o WHERE o.execution_id = taken.id AND o.consumed_at IS NULL
    ) AS has_unread
FROM taken JOIN before USING (id)
    JOIN prefixes p ON p.sha256 = taken.prefix_sha256
    JOIN sessions s ON s.id = taken.session_id
    LEFT JOIN task_versions v ON v.task_id = taken.task_id AND v.version = taken.task_version
