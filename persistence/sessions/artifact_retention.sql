-- Artifacts that are kept longer than their task says. Of a public task, only those of the owner's
-- own executions: the owner does not decide about the files of others.

-- name: examine
-- The next artifacts, and which of them are expired.
SELECT a.id, coalesce(e.completed_at < now()
    - make_interval(secs => t.artifact_retention_seconds), false) AS is_expired
FROM (
    SELECT id, execution_id FROM artifacts WHERE id > :after ORDER BY id LIMIT :limit
) AS a
LEFT JOIN executions e ON e.id = a.execution_id
LEFT JOIN tasks t ON t.id = e.task_id AND t.user_id = e.user_id
ORDER BY a.id

-- name: list_older
SELECT a.id FROM executions e JOIN artifacts a ON a.execution_id = e.id
WHERE e.task_id = :task_id AND e.user_id = :user_id
    AND e.completed_at < now() - make_interval(secs => :seconds)
ORDER BY e.id, a.id LIMIT :limit

-- name: delete
WITH deleted AS (
    DELETE FROM artifacts WHERE id = ANY(:ids) RETURNING user_id, execution_id
),
audited AS (
    $insert_by_actor, user_id, 'execution.delete_artifacts', 'execution', execution_id,
        json_build_object('artifacts_deleted', count(*), 'reason', 'retention')
    FROM deleted GROUP BY user_id, execution_id
)
SELECT user_id, count(*) AS number FROM deleted GROUP BY user_id
