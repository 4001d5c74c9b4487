"""The statement that writes one step: fence, event numbers, totals and rows in one round trip.

`mine` is the fence: it updates the execution only while the caller's token is the stored one, and
every other part hangs on the row it returns, so a fenced-out writer writes nothing at all. One
statement is one snapshot and one commit; no lock is held while Python thinks.

Rows that exist already are found by scalars (`outcome_id`, `turn`), not by joining the arrays
alone: Postgres takes an array for a hundred rows and would read the whole table to meet them.

Rows travel as JSON arrays (`json_to_recordset`), message contents as text, to the byte.
"""

from sqlalchemy import text

WRITE_STEP = text("""
WITH mine AS (
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
        running_ms = running_ms + :elapsed_ms,
        stalled_attempts = CASE WHEN :has_outcome THEN 0 ELSE stalled_attempts END,
        status = coalesce(:status, status),
        status_reason = CASE WHEN :status IS NULL THEN status_reason ELSE :status_reason END,
        wakes_at = CASE WHEN :status IS NULL THEN wakes_at ELSE :wakes_at END,
        result_data = coalesce(CAST(:result AS json), result_data),
        summary = coalesce(:summary, summary),
        error_code = coalesce(:error_code, error_code),
        error_message = coalesce(:error_message, error_message)
    WHERE id = :execution_id AND epoch = :epoch AND segment = :segment AND attempt = :attempt
        AND status NOT IN ('completed', 'failed', 'cancelled')
    RETURNING id, session_id, event_seq
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT mine.id, mine.event_seq - :n_events + e.n, e.type, e.data
    FROM mine, ROWS FROM (json_to_recordset(CAST(:events AS json)) AS (type text, data json))
        WITH ORDINALITY AS e (type, data, n)
),
said AS (
    INSERT INTO messages (id, session_id, execution_id, seq, role, content, model, stop_reason,
        usage, cost_usd, request_id)
    SELECT m.id, mine.session_id, mine.id, m.seq, m.role, m.content, m.model, m.stop_reason,
        m.usage, m.cost_usd, m.request_id
    FROM mine, ROWS FROM (
            json_to_recordset(CAST(:messages AS json)) AS (id uuid, seq int, role text, model text,
                stop_reason text, usage json, cost_usd numeric, request_id text),
            unnest(CAST(:contents AS text[]))
        ) AS m (id, seq, role, model, stop_reason, usage, cost_usd, request_id, content)
),
settled AS (
    UPDATE model_calls SET
        status = o.status, usage = o.usage, usage_estimated = o.usage_estimated,
        cost_usd = o.cost_usd, stop_reason = o.stop_reason, stop_details = o.stop_details,
        request_id = o.request_id, first_token_ms = o.first_token_ms, error_kind = o.error_kind,
        error_message = o.error_message, http_status = o.http_status,
        completed_at = clock_timestamp()
    FROM mine, json_to_recordset(CAST(:outcomes AS json)) AS o (status text, usage json,
        usage_estimated bool, cost_usd numeric, stop_reason text, stop_details json,
        request_id text, first_token_ms int, error_kind text, error_message text, http_status int)
    WHERE model_calls.id = :outcome_id AND model_calls.status = 'intended'
),
intended AS (
    INSERT INTO model_calls (id, execution_id, turn, try_number, status, model, max_tokens,
        last_message_seq, request_sha256, estimate_usd, usage_estimated, started_at)
    SELECT i.id, mine.id, i.turn, i.try_number, 'intended', i.model, i.max_tokens,
        i.last_message_seq, decode(i.request_sha256, 'hex'), i.estimate_usd, false,
        clock_timestamp()
    FROM mine, json_to_recordset(CAST(:intents AS json)) AS i (id uuid, turn int, try_number int,
        model text, max_tokens int, last_message_seq int, request_sha256 text,
        estimate_usd numeric)
),
asked AS (
    INSERT INTO tool_calls (id, execution_id, turn, position, tool_use_id, name, input,
        input_sha256, effect, status, reason, output, is_error, child_execution_id, wakes_at,
        completed_at)
    SELECT t.id, mine.id, t.turn, t.position, t.tool_use_id, t.name, t.input,
        decode(t.input_sha256, 'hex'), t.effect, t.status, t.reason, t.output, t.is_error,
        t.child_execution_id, t.wakes_at, CASE WHEN t.is_settled THEN clock_timestamp() END
    FROM mine, json_to_recordset(CAST(:new_tool_calls AS json)) AS t (id uuid, turn int,
        position int, tool_use_id text, name text, input text, input_sha256 text, effect text,
        status text, reason text, output text, is_error bool, child_execution_id uuid,
        wakes_at timestamptz, is_settled bool)
),
moved AS (
    UPDATE tool_calls SET
        status = t.status, approved_input = t.approved_input, reason = t.reason,
        output = t.output, is_error = t.is_error, child_execution_id = t.child_execution_id,
        output_artifact_id = t.output_artifact_id, host_id = t.host_id,
        process_group = t.process_group, process_started_ticks = t.started_ticks,
        started_at = CASE WHEN t.status = 'started' THEN clock_timestamp()
            ELSE tool_calls.started_at END,
        completed_at = CASE WHEN t.is_settled THEN clock_timestamp() END
    FROM mine, json_to_recordset(CAST(:tool_calls AS json)) AS t (id uuid, status text,
        approved_input text, reason text, output text, is_error bool, child_execution_id uuid,
        output_artifact_id uuid, host_id text, process_group int, started_ticks bigint,
        is_settled bool)
    WHERE tool_calls.execution_id = mine.id AND tool_calls.turn = :turn AND tool_calls.id = t.id
)
SELECT mine.event_seq, (
    SELECT count(*) FROM signals WHERE signals.execution_id = mine.id AND consumed_at IS NULL
) AS unread
FROM mine
""")
"""Returns one row (`event_seq`, `unread`), or none when the caller is fenced out."""
