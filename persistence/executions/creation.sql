-- name: store
-- Stores new executions and what belongs to them, in one round trip. Each column of executions is an
-- array; to `unnest` them all would make a temporary table of each. The references of the other
-- tables are checked at the end of the statement.
WITH created AS (
    INSERT INTO executions ($columns)
    SELECT $values FROM (
        SELECT CAST(n AS int) FROM unnest(CAST(:id AS uuid[])) WITH ORDINALITY AS given (id, n)
    ) AS given
    RETURNING $generated
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, 1, 'execution.created', CAST(event AS json)
    FROM unnest(CAST(:id AS uuid[]), CAST(:events AS text[])) AS one (id, event)
),
new_tags AS (
    INSERT INTO execution_tags (user_id, tag, execution_id)
    SELECT :owner_id, tag, id
    FROM unnest(CAST(:tagged_ids AS uuid[]), CAST(:tag_names AS text[])) AS one (id, tag)
),
new_audit_rows AS (
    INSERT INTO audit_log (id, actor_id, owner_id, action, entity_type, entity_id, request_id,
        address, after)
    SELECT uuidv7(), :actor_id, :owner_id, :action, 'execution', id, :request_id, :address,
        CAST(audited AS json)
    FROM unnest(CAST(:id AS uuid[]), CAST(:audited AS text[])) AS one (id, audited)
),
new_signals AS (
    INSERT INTO signals (id, execution_id, kind, payload, wake_at)
    SELECT uuidv7(), id, 'start', '{}', clock_timestamp() + :relay_after
    FROM unnest(CAST(:to_start AS uuid[])) AS id
)
SELECT * FROM created
