-- The accounts of trees of executions. The order of locks: the execution, then the accounts on its
-- path, the outermost first. Each change of an account of a tree holds the lock on the root's
-- account, so a statement after that lock sees what all others have committed.

-- name: open
-- Opens the accounts of new executions that have a budget, or whose parent has an account.
INSERT INTO budgets (execution_id, root_id, path)
SELECT created.id, coalesce(parent.root_id, created.id), coalesce(parent.path, '{}') || created.id
FROM unnest(CAST(:ids AS uuid[]), CAST(:has_budgets AS boolean[])) AS created (id, has_budget)
    LEFT JOIN budgets parent ON parent.execution_id = :parent_id
WHERE created.has_budget OR parent.execution_id IS NOT NULL

-- name: read_path
SELECT b.execution_id, e.budget_usd AS limit_usd, b.spent_usd, b.reserved_usd
FROM budgets own, budgets b JOIN executions e ON e.id = b.execution_id
WHERE own.execution_id = :execution_id AND b.execution_id = ANY(own.path)
ORDER BY cardinality(b.path)

-- name: lock_path
WITH execution AS (
    SELECT id FROM executions WHERE id = :execution_id FOR NO KEY UPDATE
)
SELECT b.execution_id, e.budget_usd AS limit_usd, b.spent_usd, b.reserved_usd
FROM budgets b JOIN executions e ON e.id = b.execution_id
WHERE b.execution_id = ANY(
        ARRAY(SELECT unnest(path) FROM budgets
            WHERE execution_id = (SELECT id FROM execution))
    )
ORDER BY cardinality(b.path) FOR NO KEY UPDATE OF b

-- name: lock_executions
-- Locks the executions on the path of one of them, the older ones first.
SELECT id FROM executions
WHERE id = :execution_id
    OR id = ANY(ARRAY(SELECT unnest(path) FROM budgets WHERE execution_id = :execution_id))
ORDER BY id FOR NO KEY UPDATE

-- name: change
-- Changes the sums of locked accounts. The call of the execution `caller_id` no longer waits.
UPDATE budgets SET
    spent_usd = spent_usd + :spent_usd, reserved_usd = reserved_usd + :reserved_usd,
    needed_usd = CASE WHEN execution_id IS DISTINCT FROM CAST(:caller_id AS uuid)
        THEN needed_usd END,
    waits_since = CASE WHEN execution_id IS DISTINCT FROM CAST(:caller_id AS uuid)
        THEN waits_since END
WHERE execution_id = ANY(:path)

-- name: note_shortage
UPDATE budgets SET
    needed_usd = :needed_usd,
    waits_since = CASE WHEN :is_temporary THEN clock_timestamp() END
WHERE execution_id = :execution_id

-- name: list_waiting
-- The executions of a tree whose calls do not fit: `first_id`, then those that wait for
-- reservations, the longest waiting first, then those that ask for a higher budget.
SELECT b.execution_id, b.path, b.needed_usd, b.waits_since IS NULL AS is_asking
FROM budgets b JOIN executions e ON e.id = b.execution_id
WHERE b.root_id = :root_id AND b.needed_usd IS NOT NULL AND e.status NOT IN ($terminal)
ORDER BY b.execution_id = CAST(:first_id AS uuid) DESC, b.waits_since, b.execution_id

-- name: read_accounts
SELECT b.execution_id, e.budget_usd AS limit_usd, b.spent_usd, b.reserved_usd
FROM budgets b JOIN executions e ON e.id = b.execution_id
WHERE b.execution_id = ANY(:ids)

-- name: wake
-- The relay wakes the workflows.
WITH woken AS (
    UPDATE budgets SET needed_usd = NULL, waits_since = NULL
    WHERE execution_id = ANY(:ids) RETURNING execution_id
),
new_signals AS (
    INSERT INTO signals (id, execution_id, kind, payload, wake_at)
    SELECT uuidv7(), execution_id, 'budget_released', '{}', clock_timestamp() FROM woken
    RETURNING pg_notify(:wake_channel, CAST(execution_id AS text))
)
SELECT count(*), pg_notify(:relay_channel, '') FROM new_signals

-- name: read_needed
SELECT needed_usd FROM budgets WHERE execution_id = :execution_id
