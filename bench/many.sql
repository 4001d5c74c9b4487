-- A year of executions of 20 users and 200 tasks: user 1 has 80 % of them.

INSERT INTO users (id, subject, role, created_at)
SELECT uuidv7(), 'many-' || n, 'user', now() FROM generate_series(1, 20) AS n
;

INSERT INTO tasks (id, user_id, name, tags, version, is_public, is_active, is_scheduled,
    schedule_timezone, schedule_enabled, schedule_overlap_policy, entered_tools)
SELECT uuidv7(), u.id, 'many ' || n,
    CASE WHEN n % 4 = 0 THEN ARRAY['tag-' || n % 16] ELSE '{}' END, 1, n % 10 = 0, true,
    n % 5 = 0, 'UTC', false, 'skip', '[]'
FROM generate_series(1, 200) AS n
JOIN users u ON u.subject = 'many-' || (CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 19 END)
;

INSERT INTO task_versions (task_id, version, definition, created_by)
SELECT id, 1, '{"prompt_template": "hello", "allowed_tools": [], "sdk_options": {}}', user_id
FROM tasks WHERE name LIKE 'many %'
;

INSERT INTO executions (id, user_id, task_id, task_version, title, agent_id, executor, tags,
    trigger_type, trigger_metadata, prompt_variables, missing_variables, rendered_prompt, status,
    error_code, result_data, summary, priority, workflow_id, first_run_id, run_id, created_at,
    started_at, completed_at, depth, session_id, parent_execution_id, input_tokens, output_tokens,
    cost_usd, running_ms, total_turns, total_messages)
SELECT id, user_id, task_id, 1, 'task ' || t, CASE n % 3 WHEN 0 THEN 'agent-' || n % 7 END,
    'claude', CASE WHEN t % 4 = 0 THEN ARRAY['tag-' || t % 16] ELSE '{}' END,
    (ARRAY['manual', 'api', 'scheduled', 'webhook', 'subtask'])[1 + n % 5], '{}',
    '{"name": "value"}', '[]', repeat('Say hello to a person. ', 6),
    status, CASE status WHEN 'failed' THEN 'model_error' END,
    '{"text": "hello"}', 'hello', 5, 'execution-' || id, 'run-' || n, 'run-' || n, at, at,
    CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN at + interval '1 minute' END,
    0, NULL, NULL, 900, 90, 0.0123, 4200, 4, 9
FROM (
    SELECT n, now() - age AS at, uuidv7(-age) AS id, n % 200 AS t,
        CASE WHEN n % 10 < 8 THEN 1 ELSE 2 + n % 19 END AS u,
        CASE WHEN n > :count - 200 THEN 'running' WHEN n % 1000 = 7 THEN 'blocked'
            WHEN n % 50 = 3 THEN 'cancelled' WHEN n % 10 = 1 THEN 'failed'
            ELSE 'completed' END AS status
    FROM generate_series(1, :count) AS n, LATERAL (
        SELECT interval '365 days' * (1 - n / CAST(:count AS float8)) + interval '2 hours' AS age
    ) AS ages
) AS execution
JOIN (SELECT id AS user_id, row_number() OVER (ORDER BY id) AS u FROM users
    WHERE subject LIKE 'many-%') AS owner USING (u)
JOIN (SELECT id AS task_id, row_number() OVER (ORDER BY id) - 1 AS t FROM tasks
    WHERE name LIKE 'many %') AS task USING (t)
;

INSERT INTO execution_tags (user_id, tag, execution_id)
SELECT user_id, unnest(tags), id FROM executions WHERE rendered_prompt IS NOT NULL
;

INSERT INTO sessions (id, user_id, name, is_interactive, agent_id, created_at)
SELECT id, user_id, title, n % 30 = 0, agent_id, created_at FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM executions) AS e WHERE n % 10 = 0
;

INSERT INTO plans (id, user_id, title, approval_required, execution_id, created_at)
SELECT uuidv7(), user_id, title, false, CASE WHEN n % 50 > 0 THEN id END, created_at
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM executions) AS e WHERE n % 10 = 0
;

INSERT INTO plan_steps (plan_id, key, position, title, prompt, depends_on, execution_id)
SELECT id, 'only', 0, title, 'Work.', '[]', NULL FROM plans
;

INSERT INTO reports (id, user_id, execution_id, title, format, content, created_at, task_id)
SELECT id, user_id, id, title, 'html', '{}', created_at, task_id FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM executions) AS e WHERE n % 10 = 0
;

INSERT INTO input_requests (id, execution_id, user_id, kind, title, status, on_expiry, created_at,
    assignee, answered_at)
SELECT id, id, user_id, CASE WHEN n % 20 = 0 THEN 'approval' ELSE 'question' END, 'Which colour?',
    CASE WHEN n % 500 = 0 THEN 'open' ELSE 'answered' END, 'wait', created_at,
    CASE WHEN n % 40 = 0 THEN 'many-2' END, created_at + interval '20 seconds'
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM executions) AS e WHERE n % 10 = 0
;

INSERT INTO audit_log
    (id, actor_id, owner_id, action, entity_type, entity_id, request_id, after, at)
SELECT id, user_id, user_id, 'task.execute', 'execution', id, 'r', '{}', created_at FROM executions
