-- name: take
-- Makes the caller the one writer and reads what the execution pins. No row: a newer writer took it,
-- it has ended, the run is unknown, or the workspace is on another host. The workspace is assigned
-- to this host if a tool needs one and no host has it, or if it is on `from_host_id` and can be
-- restored here; the session is locked before the execution.
-- `is_first`: no segment was begun before. Then `messages` is the transcript, which no other attempt
-- can have changed while this statement waited for the locks; it is null for a fork.
WITH unplaced AS (
    SELECT s.id, s.workspace_host_id IS NOT NULL AS is_taken_over
    FROM executions e JOIN sessions s ON s.id = e.session_id
        JOIN prefixes p ON p.sha256 = e.prefix_sha256
        LEFT JOIN task_versions v ON v.task_id = e.task_id AND v.version = e.task_version
    WHERE e.id = :execution_id AND CASE
        WHEN s.workspace_host_id IS NULL THEN CAST(p.body AS json) #> '{tools,0}' IS NOT NULL
        ELSE s.workspace_host_id = :from_host_id
            AND coalesce(e.definition, v.definition) ->> 'working_directory_path' IS NULL
            AND (s.workspace_bytes = 0 OR EXISTS (
                SELECT FROM workspace_snapshots w WHERE w.session_id = s.id AND w.sha256 <> ''
            ))
        END
    FOR NO KEY UPDATE OF s
),
before AS (
    SELECT id, epoch, segment FROM executions
    WHERE id = :execution_id AND (SELECT count(*) FROM unplaced) >= 0 FOR NO KEY UPDATE
),
taken AS (
    UPDATE executions SET
        segment = :segment, attempt = :attempt,
        stalled_attempts = CASE WHEN :attempt > 1 OR :is_repeat THEN stalled_attempts + 1 ELSE 0 END
    WHERE id = (SELECT id FROM before) AND $may_take AND status NOT IN ($terminal) AND NOT EXISTS (
        SELECT FROM sessions s
        WHERE s.id = executions.session_id AND s.workspace_host_id <> :host_id
            AND s.id NOT IN (SELECT id FROM unplaced)
    )
    RETURNING *
),
claimed AS (
    UPDATE sessions SET workspace_host_id = :host_id,
        workspace_epoch = workspace_epoch + CAST(unplaced.is_taken_over AS int)
    FROM taken JOIN unplaced ON unplaced.id = taken.session_id
    WHERE sessions.id = unplaced.id
)
SELECT taken.id, taken.user_id, taken.session_id, taken.title, taken.status, taken.status_reason,
    taken.depth, taken.priority, taken.prefix_sha256, taken.deadline_at, taken.budget_usd,
    taken.running_ms, taken.stalled_attempts, taken.cost_usd, taken.epoch, taken.segment,
    taken.attempt, taken.error_code, taken.error_message,
    taken.pause_requested_at IS NOT NULL AS is_pause_requested, s.forked_from_session_id,
    s.workspace_epoch + coalesce((SELECT CAST(is_taken_over AS int) FROM unplaced), 0)
        AS workspace_epoch,
    (
        SELECT w.sha256 FROM workspace_snapshots w WHERE w.session_id = s.id AND w.sha256 <> ''
        ORDER BY w.id DESC LIMIT 1
    ) AS workspace_snapshot,
    (before.epoch, before.segment) = (0, 0) AS is_first,
    CASE WHEN (before.epoch, before.segment) = (0, 0) AND s.forked_from_session_id IS NULL THEN (
        SELECT json_agg(json_build_object('seq', m.seq, 'role', m.role, 'content', m.content,
            'execution_id', m.execution_id, 'stop_reason', m.stop_reason) ORDER BY m.seq)
        FROM messages m WHERE m.session_id = s.id AND m.superseded_at IS NULL
    ) END AS messages,
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
