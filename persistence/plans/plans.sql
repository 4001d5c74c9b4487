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

-- name: list_step_states
-- The steps of a plan with the state of their executions, in their order.
SELECT s.key, s.title, s.execution_id, e.status,
    coalesce(e.executor = 'external', false) AS is_external,
    coalesce(e.run_epochs <> '{}', false) AS has_run, e.error_code, s.reported_status,
    s.start_segment
FROM plan_steps s LEFT JOIN executions e ON e.id = s.execution_id
WHERE s.plan_id = :plan_id ORDER BY s.position

-- name: store_start_segment
UPDATE plan_steps SET start_segment = :segment WHERE plan_id = :plan_id AND key = ANY(:keys)

-- name: store_reported
UPDATE plan_steps SET reported_status = reported.status
FROM unnest(CAST(:keys AS text[]), CAST(:statuses AS text[])) AS reported (key, status)
WHERE plan_id = :plan_id AND plan_steps.key = reported.key

-- name: list_results
-- The results of steps of the plan to which the execution of another step belongs.
SELECT other.key, coalesce(e.result_data ->> 'text', '') AS result
FROM plan_steps own JOIN plan_steps other ON other.plan_id = own.plan_id
    JOIN executions e ON e.id = other.execution_id
WHERE own.execution_id = :execution_id AND other.key = ANY(:keys)

-- name: list_final_results
-- The titles and results of the steps on which no other step depends, in their order.
SELECT s.title, coalesce(e.result_data ->> 'text', '') AS result
FROM plan_steps s JOIN executions e ON e.id = s.execution_id
WHERE s.plan_id = :plan_id AND s.key NOT IN (
    SELECT json_array_elements_text(depends_on) FROM plan_steps WHERE plan_id = :plan_id
)
ORDER BY s.position
