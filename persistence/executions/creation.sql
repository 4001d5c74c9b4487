-- name: store_related
-- Stores what belongs to new executions, in one round trip.
WITH created AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:events AS text[]), CAST(:audited AS text[])
    ) AS one (id, event, audited)
),
new_events AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, 1, 'execution.created', CAST(event AS json) FROM created
),
new_tags AS (
    INSERT INTO execution_tags (user_id, tag, execution_id)
    SELECT :user_id, tag, id
    FROM unnest(CAST(:tagged_ids AS uuid[]), CAST(:tags AS text[])) AS one (id, tag)
),
new_audit_rows AS (
    INSERT INTO audit_log (id, actor_id, owner_id, action, entity_type, entity_id, request_id,
        address, after)
    SELECT uuidv7(), :actor_id, :user_id, :action, 'execution', id, :request_id, :address,
        CAST(audited AS json)
    FROM created
)
INSERT INTO signals (id, execution_id, kind, payload, wake_at)
SELECT uuidv7(), id, 'start', '{}', clock_timestamp() + :relay_after
FROM unnest(CAST(:to_start AS uuid[])) AS id
