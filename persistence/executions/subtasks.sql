-- The trees that executions form with their subtasks.

-- name: count_descendants
-- The number of subtasks in the whole tree of an execution.
WITH RECURSIVE up AS (
    SELECT id, parent_execution_id FROM executions WHERE id = :id
    UNION ALL
    SELECT e.id, e.parent_execution_id FROM executions e JOIN up ON e.id = up.parent_execution_id
), down AS (
    SELECT id FROM up WHERE parent_execution_id IS NULL
    UNION ALL
    SELECT e.id FROM executions e JOIN down ON e.parent_execution_id = down.id
)
SELECT count(*) - 1 FROM down

-- name: read_tree
-- An execution and everything below it, each after its parent, in the order of creation. Postgres
-- reads level by level and stops at the limit.
WITH RECURSIVE tree AS (
    SELECT id, user_id, ARRAY[id] AS path FROM executions WHERE id = :id
    UNION ALL
    SELECT e.id, e.user_id, tree.path || e.id
    FROM tree JOIN executions e ON e.parent_execution_id = tree.id AND e.user_id = tree.user_id
),
listed AS MATERIALIZED (SELECT id, path FROM tree LIMIT :limit)
SELECT e.id, e.parent_execution_id, cardinality(listed.path) - 1 AS depth, e.title, e.agent_id,
    e.executor, e.status, e.status_reason, e.error_code, e.cost_usd, e.total_turns, e.created_at,
    e.started_at, e.completed_at
FROM listed JOIN executions e ON e.id = listed.id
ORDER BY listed.path
