-- name: store_related
-- Stores what belongs to a new execution, in one round trip.
WITH new_event AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    VALUES (:id, 1, 'execution.created', CAST(:event AS json))
),
new_tags AS (
    INSERT INTO execution_tags (user_id, tag, execution_id)
    SELECT :user_id, tag, :id FROM unnest(CAST(:tags AS text[])) AS tag
),
audited AS (
    INSERT INTO audit_log (id, actor_id, owner_id, action, entity_type, entity_id, request_id,
        address, after)
    VALUES (uuidv7(), :actor_id, :user_id, :action, 'execution', :id, :request_id, :address,
        CAST(:audited AS json))
)
INSERT INTO signals (id, execution_id, kind, payload, wake_at)
SELECT uuidv7(), :id, 'start', '{}', clock_timestamp() + :relay_after WHERE :is_to_start
