-- name: sum_costs
-- The cost of a plan: of its newest run and those that it retries, with all their subtasks.
WITH RECURSIVE runs AS (
    SELECT id, retry_of_id FROM executions WHERE id = :execution_id
    UNION ALL
    SELECT e.id, e.retry_of_id FROM runs JOIN executions e ON e.id = runs.retry_of_id
),
tree AS (
    SELECT id FROM runs
    UNION ALL
    SELECT e.id FROM tree JOIN executions e ON e.parent_execution_id = tree.id
)
SELECT sum(e.cost_usd) FROM tree JOIN executions e ON e.id = tree.id
