-- What is appended to the record of an execution. Every statement here changes the execution
-- first; if the condition there fails, it writes nothing.

-- name: append_events
WITH execution AS (
    UPDATE executions SET event_seq = event_seq + cardinality(CAST(:types AS text[]))
    WHERE id = :execution_id
    RETURNING id, event_seq
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT execution.id, execution.event_seq - cardinality(CAST(:types AS text[])) + e.n, e.type,
        CAST(e.data AS json)
    FROM execution, unnest(CAST(:types AS text[]), CAST(:data AS text[]))
        WITH ORDINALITY AS e (type, data, n)
)
SELECT event_seq FROM execution

-- name: append_signal_and_event
WITH execution AS (
    UPDATE executions SET event_seq = event_seq + 1 WHERE id = :execution_id
    RETURNING id, event_seq
),
new_event AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, :event_type, CAST(:event_data AS json) FROM execution
)
INSERT INTO signals (id, execution_id, kind, payload, wake_at)
SELECT :id, id, :kind, CAST(:payload AS json), clock_timestamp() + :relay_after FROM execution
RETURNING pg_notify(:wake_channel, CAST(execution_id AS text))

-- name: append_answer
-- The beginning of the statement that stores the answer to an open request, with its event and its
-- signal. The execution is locked before the request (`db/locks.py`), and both are checked as they
-- are then. If the request is closed or due, has another assignee, or its execution has ended, then
-- `answered` is empty, and nothing is written.
WITH execution AS (
    SELECT id, workflow_id FROM executions
    WHERE id = :execution_id AND completed_at IS NULL FOR NO KEY UPDATE
),
answered AS (
    UPDATE input_requests r SET
        status = 'answered', answer = CAST(:answer AS json), answered_by = :answered_by,
        answered_at = :answered_at
    FROM execution
    WHERE r.id = :input_request_id AND r.execution_id = execution.id AND r.status = 'open'
        AND r.assignee IS NOT DISTINCT FROM CAST(:assignee AS text)
        AND NOT (r.due_at IS NOT NULL AND r.due_at <= :answered_at
            AND r.on_expiry = ANY(CAST(:expiring AS text[])))
    RETURNING r.*, execution.workflow_id
),
numbered AS (
    UPDATE executions SET event_seq = event_seq + 1 FROM answered
    WHERE executions.id = answered.execution_id
    RETURNING executions.id, executions.event_seq
),
new_event AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, :event_type, CAST(:event_data AS json) FROM numbered
),
new_signal AS (
    INSERT INTO signals (id, execution_id, kind, payload, wake_at)
    SELECT :signal_id, id, 'answer', CAST(:payload AS json), clock_timestamp() + :relay_after
    FROM numbered
)

-- name: step_fence
-- The beginning of the statement that writes one step: fencing token, event numbers and totals. It
-- changes the execution only while the caller's token is the stored one. The parts that follow
-- (`step_<part>`) use the row that it returns, so a writer with an old token writes nothing. One
-- statement is one snapshot and one commit; no lock is held while Python computes.
WITH execution AS (
    UPDATE executions SET
        event_seq = event_seq + :n_events,
        total_messages = total_messages + :n_messages,
        total_tool_calls = total_tool_calls + :n_tool_calls,
        total_turns = total_turns + :n_turns,
        input_tokens = input_tokens + :input_tokens,
        output_tokens = output_tokens + :output_tokens,
        cache_read_tokens = cache_read_tokens + :cache_read_tokens,
        cache_write_tokens = cache_write_tokens + :cache_write_tokens,
        cost_usd = cost_usd + :cost_usd,
        scripted_cost_usd = scripted_cost_usd + CASE WHEN :is_scripted THEN :cost_usd ELSE 0 END,
        is_scripted = is_scripted OR (:is_scripted AND :has_intent),
        running_ms = running_ms + :elapsed_ms,
        stalled_attempts = CASE WHEN :has_progress THEN 0 ELSE stalled_attempts END,
        status = coalesce(:status, status),
        status_reason = CASE WHEN :status IS NULL THEN status_reason ELSE :status_reason END,
        wakes_at = CASE WHEN :status IS NULL THEN wakes_at ELSE :wakes_at END,
        result_data = coalesce(CAST(:result AS json), result_data),
        summary = coalesce(:summary, summary),
        error_code = coalesce(:error_code, error_code),
        error_message = coalesce(:error_message, error_message)
    WHERE id = :execution_id AND epoch = :epoch AND segment = :segment AND attempt = :attempt
        AND status = ANY(CAST(:statuses_before AS text[]))
    RETURNING id, session_id, event_seq
)

-- name: step_events
-- The parts of a step. Rows are sent as JSON arrays (`json_to_recordset`), message contents as text,
-- byte for byte.
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT execution.id, execution.event_seq - :n_events + e.n, e.type, e.data
    FROM execution, ROWS FROM (json_to_recordset(CAST(:events AS json)) AS (type text, data json))
        WITH ORDINALITY AS e (type, data, n)
)

-- name: step_messages
new_messages AS (
    INSERT INTO messages (id, session_id, execution_id, seq, role, content, model, stop_reason,
        usage, cost_usd, request_id)
    SELECT m.id, execution.session_id, execution.id, m.seq, m.role, m.content, m.model,
        m.stop_reason, m.usage, m.cost_usd, m.request_id
    FROM execution, ROWS FROM (
            json_to_recordset(CAST(:messages AS json)) AS (id uuid, seq int, role text, model text,
                stop_reason text, usage json, cost_usd numeric, request_id text),
            unnest(CAST(:contents AS text[]))
        ) AS m (id, seq, role, model, stop_reason, usage, cost_usd, request_id, content)
)

-- name: step_consumed
consumed AS (
    UPDATE signals SET consumed_at = now() FROM execution
    WHERE signals.execution_id = execution.id AND signals.consumed_at IS NULL
        AND signals.id = ANY(CAST(:consumed AS uuid[]))
)

-- name: step_outcome
-- Rows that exist are found by scalars (`outcome_id`, `turn`), not by a join with the arrays alone:
-- Postgres expects a hundred rows from an array and would read the whole table.
settled_model_call AS (
    UPDATE model_calls SET
        status = o.status, usage = o.usage, usage_estimated = o.usage_estimated,
        cost_usd = o.cost_usd, stop_reason = o.stop_reason, stop_details = o.stop_details,
        request_id = o.request_id, first_token_ms = o.first_token_ms, error_kind = o.error_kind,
        error_message = o.error_message, http_status = o.http_status,
        completed_at = clock_timestamp()
    FROM execution, json_to_recordset(CAST(:outcomes AS json)) AS o (status text, usage json,
        usage_estimated bool, cost_usd numeric, stop_reason text, stop_details json,
        request_id text, first_token_ms int, error_kind text, error_message text, http_status int)
    WHERE model_calls.id = :outcome_id AND model_calls.status = 'intended'
)

-- name: step_intent
new_model_call AS (
    INSERT INTO model_calls (id, execution_id, turn, try_number, status, model, max_tokens,
        last_message_seq, request_sha256, estimate_usd, usage_estimated, is_scripted, started_at)
    SELECT i.id, execution.id, i.turn, i.try_number, 'intended', i.model, i.max_tokens,
        i.last_message_seq, decode(i.request_sha256, 'hex'), i.estimate_usd, false, :is_scripted,
        clock_timestamp()
    FROM execution, json_to_recordset(CAST(:intents AS json)) AS i (id uuid, turn int,
        try_number int, model text, max_tokens int, last_message_seq int, request_sha256 text,
        estimate_usd numeric)
)

-- name: step_new_tool_calls
new_tool_calls AS (
    INSERT INTO tool_calls (id, execution_id, turn, position, tool_use_id, name, input,
        input_sha256, effect, status, reason, output, is_error, child_execution_id,
        child_execution_ids, wakes_at, remembered_decision_id, completed_at)
    SELECT t.id, execution.id, t.turn, t.position, t.tool_use_id, t.name, t.input,
        decode(t.input_sha256, 'hex'), t.effect, t.status, t.reason, t.output, t.is_error,
        t.child_execution_id, t.child_execution_ids, t.wakes_at, t.remembered_decision_id,
        CASE WHEN t.is_settled THEN clock_timestamp() END
    FROM execution, json_to_recordset(CAST(:new_tool_calls AS json)) AS t (id uuid, turn int,
        position int, tool_use_id text, name text, input text, input_sha256 text, effect text,
        status text, reason text, output text, is_error bool, child_execution_id uuid,
        child_execution_ids uuid[], wakes_at timestamptz, remembered_decision_id uuid,
        is_settled bool)
)

-- name: step_tool_calls
updated_tool_calls AS (
    UPDATE tool_calls SET
        status = t.status, effect = t.effect, approved_input = t.approved_input,
        reason = t.reason,
        output = t.output, is_error = t.is_error, child_execution_id = t.child_execution_id,
        child_execution_ids = t.child_execution_ids,
        output_artifact_id = t.output_artifact_id, host_id = t.host_id,
        wakes_at = t.wakes_at, remote_state = t.remote_state,
        connections = t.connections,
        process_group = t.process_group, process_started_ticks = t.started_ticks,
        started_at = CASE WHEN t.status = 'started' THEN clock_timestamp()
            ELSE tool_calls.started_at END,
        completed_at = CASE WHEN t.is_settled THEN clock_timestamp() END
    FROM execution, json_to_recordset(CAST(:tool_calls AS json)) AS t (id uuid, status text,
        effect text, approved_input text, reason text, output text, is_error bool,
        child_execution_id uuid, child_execution_ids uuid[],
        output_artifact_id uuid, host_id text, process_group int, started_ticks bigint,
        wakes_at timestamptz, remote_state json, connections json, is_settled bool)
    WHERE tool_calls.execution_id = execution.id AND tool_calls.turn = :turn
        AND tool_calls.id = t.id
)

-- name: step_receipt
-- The end of the statement: returns one row, or none for a writer with an old token.
SELECT execution.event_seq, (
    SELECT count(*) FROM signals WHERE signals.execution_id = execution.id AND consumed_at IS NULL
) AS unread
FROM execution

-- name: write_prompt
-- Writes the first message and pins the prefix; no row if that was done before.
WITH execution AS (
    UPDATE executions SET
        prefix_sha256 = :prefix_sha256, rendered_prompt = :rendered,
        missing_variables = :missing, total_messages = total_messages + 1,
        event_seq = event_seq + 1
    WHERE id = :execution_id AND prefix_sha256 IS NULL
    RETURNING id, session_id, event_seq
),
new_prefix AS (
    INSERT INTO prefixes (sha256, body) SELECT :prefix_sha256, :prefix FROM execution
    ON CONFLICT (sha256) DO NOTHING
),
new_messages AS (
    INSERT INTO messages (id, session_id, execution_id, seq, role, content)
    SELECT :message_id, session_id, id, :seq, 'user', :content FROM execution
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'message.appended',
        json_build_object('seq', CAST(:seq AS int), 'role', 'user')
    FROM execution
)
SELECT id FROM execution

-- name: pin_prefix
-- Pins the prefix of an execution without a prompt.
WITH execution AS (
    UPDATE executions SET prefix_sha256 = :prefix_sha256
    WHERE id = :execution_id AND prefix_sha256 IS NULL
    RETURNING id
)
INSERT INTO prefixes (sha256, body) SELECT :prefix_sha256, :prefix FROM execution
ON CONFLICT (sha256) DO NOTHING

-- name: replace_prefix
-- Pins the tools of MCP servers, in the transaction of a step that holds the fence.
WITH execution AS (
    UPDATE executions SET prefix_sha256 = :prefix_sha256 WHERE id = :execution_id RETURNING id
)
INSERT INTO prefixes (sha256, body) SELECT :prefix_sha256, :prefix FROM execution
ON CONFLICT (sha256) DO NOTHING

-- name: watch
-- The lock waits for transactions that have appended events: a reader that starts after this
-- statement reads their events, and all later ones are published.
UPDATE executions SET watched_until = clock_timestamp() + :duration
WHERE id IN (SELECT id FROM executions WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE)
