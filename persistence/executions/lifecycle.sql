-- The changes of an execution's status. The conditions on the status before are built from
-- `domain.executions.states.TRANSITIONS` by lifecycle.py.

-- name: start
-- Starts a pending execution that no workflow run has started, and reads what its prompt is made
-- from; returns no row otherwise. A worker's claim starts an external one.
WITH execution AS (
    UPDATE executions SET
        status = 'running', started_at = now(), event_seq = event_seq + 1,
        session_id = coalesce(session_id, :new_session_id),
        first_run_id = coalesce(first_run_id, :run_id), run_id = :run_id, attempt = :attempt,
        run_epochs = jsonb_build_object(CAST(:run_id AS text), 0)
    WHERE id = :execution_id AND workflow_id = :workflow_id
        AND $pending_to_running AND run_epochs = '{}' AND executor = 'claude'
    RETURNING *
),
new_event AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.started', '{}' FROM execution
),
$with_session
$select_source

-- name: start_external
-- The same for an external execution that has not ended, except that its status does not change:
-- the claim of a worker does that.
WITH execution AS (
    UPDATE executions SET
        session_id = coalesce(session_id, :new_session_id),
        first_run_id = coalesce(first_run_id, :run_id), run_id = :run_id,
        run_epochs = jsonb_build_object(CAST(:run_id AS text), 0)
    WHERE id = :execution_id AND workflow_id = :workflow_id
        AND status NOT IN ($terminal) AND run_epochs = '{}' AND executor = 'external'
    RETURNING *
),
$with_session
SELECT cancel_requested_at, deadline_at FROM execution

-- name: release
-- Makes executions whose prerequisites are all completed pending, or lets them queue in their
-- session. The relay starts those that are pending; the workflow of a plan starts its steps.
WITH ready AS (
    SELECT e.id, e.session_id IS NULL OR (
        row_number() OVER (PARTITION BY e.session_id ORDER BY e.id) = 1 AND NOT EXISTS (
            SELECT FROM executions o
            WHERE o.session_id = e.session_id AND o.status NOT IN ($terminal)
                AND o.status_reason IS DISTINCT FROM 'prerequisites'
        )
    ) AS is_free
    FROM executions e
    WHERE e.id = ANY(:ids) AND NOT EXISTS (
        SELECT FROM execution_prerequisites p JOIN executions o ON o.id = p.prerequisite_id
        WHERE p.execution_id = e.id AND o.status <> 'completed'
    )
),
released AS (
    UPDATE executions e SET
        status = CASE WHEN is_free THEN 'pending' ELSE 'blocked' END,
        status_reason = CASE WHEN is_free THEN NULL ELSE 'session_busy' END,
        event_seq = event_seq + 1
    FROM ready WHERE e.id = ready.id AND $blocked_to_pending
    RETURNING e.id, e.event_seq, e.status, e.status_reason, e.trigger_type
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.status_changed',
        json_build_object('status', status, 'reason', status_reason)
    FROM released
)
INSERT INTO signals (id, execution_id, kind, payload, wake_at)
SELECT uuidv7(), id, 'start', '{}', now() FROM released
WHERE status = 'pending' AND trigger_type <> $step_trigger

-- name: end
-- Ends executions; see `lifecycle.end`. A cancellation that was requested in time decides.
WITH ending AS MATERIALIZED (
    SELECT e.id, given.error_message,
        e.status IN ($active) OR e.status_reason = $worker_blocked AS held_its_session,
        e.status = 'blocked' AS was_blocked,
        CASE WHEN e.cancel_requested_at IS NULL THEN :status ELSE 'cancelled' END AS status
    FROM $given
),
ended AS (
    UPDATE executions e SET
        $reported status = ending.status, status_reason = NULL, wakes_at = NULL, completed_at = now(),
        pause_requested_at = NULL, lease_expires_at = NULL, event_seq = e.event_seq + 1,
        segment = coalesce(:segment, e.segment), attempt = coalesce(:attempt, e.attempt),
        cost_usd = e.cost_usd + (
            SELECT coalesce(sum(c.estimate_usd), 0) FROM model_calls c
            WHERE c.execution_id = e.id AND c.status = 'intended'
        ),
        scripted_cost_usd = e.scripted_cost_usd + (
            SELECT coalesce(sum(c.estimate_usd), 0) FROM model_calls c
            WHERE c.execution_id = e.id AND c.status = 'intended' AND c.is_scripted
        ),
        report_error = coalesce(:report_error, e.report_error),
        error_code = CASE ending.status WHEN 'failed' THEN coalesce(:error_code, e.error_code) END,
        error_message = CASE ending.status
            WHEN 'failed' THEN coalesce(e.error_message, ending.error_message) END
    FROM ending
    WHERE e.id = ending.id AND CASE ending.status $allowed_ends END
        AND (CAST(:run_id AS text) IS NULL OR $may_end)
        AND NOT (ending.status = 'completed' AND EXISTS (
            SELECT FROM signals s
            WHERE s.execution_id = e.id AND s.kind = 'message' AND s.consumed_at IS NULL
        ))
    RETURNING e.*, held_its_session, was_blocked
),
cancelled_requests AS (
    UPDATE input_requests r SET status = 'cancelled' FROM ended
    WHERE r.execution_id = ended.id AND r.status = 'open'
),
cancelled_tool_calls AS (
    UPDATE tool_calls t SET status = 'cancelled', completed_at = now(), is_error = true,
        output = 'The execution ended before this call did.'
    FROM ended WHERE t.execution_id = ended.id AND t.completed_at IS NULL
),
lost_model_calls AS (
    UPDATE model_calls c SET status = 'lost', cost_usd = estimate_usd, usage_estimated = true
    FROM ended WHERE c.execution_id = ended.id AND c.status = 'intended'
),
consumed AS (
    UPDATE signals s SET consumed_at = now() FROM ended
    WHERE s.execution_id = ended.id AND s.consumed_at IS NULL
),
audited AS (
    $audit
    SELECT uuidv7(), NULL, NULL, NULL, user_id, 'execution.' || status, 'execution', id,
        json_build_object('status', status, 'error_code', error_code)
    FROM ended
),
-- Fewer executions wait for those that a blocked one waited for.
new_marks AS (
    INSERT INTO outdated_priorities (execution_id)
    SELECT o.id FROM ended JOIN execution_prerequisites p ON p.execution_id = ended.id
        JOIN executions o ON o.id = p.prerequisite_id
    WHERE was_blocked AND o.executor = 'external' AND o.status NOT IN ($terminal)
        AND o.id <> ALL(:ids)
),
promoted AS (
    UPDATE executions SET status = 'pending', status_reason = NULL, event_seq = event_seq + 1
    WHERE id = ANY(ARRAY(
        SELECT (
            SELECT id FROM executions
            WHERE session_id = ended.session_id AND id <> ALL(:ids)
                AND $blocked_to_pending AND status_reason = 'session_busy'
            ORDER BY id LIMIT 1
        )
        FROM ended WHERE held_its_session
    ))
    RETURNING id, event_seq
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.' || status, json_strip_nulls(json_build_object(
        'cost_usd', cost_usd, 'error_code', error_code, 'error_message', error_message,
        'reason', cancel_reason))
    FROM ended
    UNION ALL
    SELECT id, event_seq, 'execution.status_changed',
        json_build_object('status', 'pending', 'reason', NULL)
    FROM promoted
),
new_signals AS (
    INSERT INTO signals (id, execution_id, kind, payload, wake_at)
    SELECT uuidv7(), parent_execution_id, 'subtask_finished',
        json_build_object('execution_id', id), now() + :first_wake
    FROM ended
    WHERE parent_execution_id IS NOT NULL AND parent_execution_id <> ALL(:ids)
    UNION ALL
    SELECT uuidv7(), id, 'start', '{}', now() FROM promoted
    UNION ALL
    -- The workflow of an external execution waits for this end, unless it has requested it.
    SELECT uuidv7(), id, 'ended', '{}', now() + :first_wake FROM ended
    WHERE executor = 'external' AND CAST(:run_id AS text) IS NULL
    RETURNING CASE WHEN kind <> 'start'
        THEN pg_notify(:wake_channel, CAST(execution_id AS text)) END
)
SELECT $shown, p.workflow_id AS parent_workflow_id, EXISTS (
        SELECT FROM execution_prerequisites WHERE prerequisite_id = ended.id
    ) AS is_awaited, (
        SELECT coalesce(sum(c.estimate_usd), 0) FROM model_calls c
        WHERE c.execution_id = ended.id AND c.status = 'intended'
    ) AS lost_usd
FROM ended LEFT JOIN executions p ON p.id = ended.parent_execution_id
WHERE (SELECT count(*) FROM new_signals) >= 0

-- name: acknowledge_end
-- The end of an execution, for its workflow run, which knows of it then. No row: it has not ended, or
-- the run is that of a reset, which may reopen it.
WITH found AS (
    SELECT * FROM executions
    WHERE id = :execution_id AND status IN ($terminal)
        AND (run_epochs ->> :run_id IS NOT NULL OR NOT :is_reset)
),
consumed AS (
    UPDATE signals SET consumed_at = now() FROM found
    WHERE signals.execution_id = found.id AND signals.kind = 'ended' AND consumed_at IS NULL
)
SELECT e.id, e.status, e.error_code, e.cost_usd, e.total_turns, e.event_seq,
    p.workflow_id AS parent_workflow_id, false AS is_awaited, 0 AS lost_usd
FROM found e LEFT JOIN executions p ON p.id = e.parent_execution_id

-- name: find_end
SELECT e.id, e.status, e.error_code, e.cost_usd, e.total_turns, e.event_seq,
    p.workflow_id AS parent_workflow_id, false AS is_awaited, 0 AS lost_usd
FROM executions e LEFT JOIN executions p ON p.id = e.parent_execution_id
WHERE e.id = :execution_id
