"""Budgets of trees of executions.

Revision ID: 20261128_budgets
Revises: 20261128_warnings
"""

from alembic import op

revision = "20261128_budgets"
down_revision = "20261128_warnings"


def upgrade() -> None:
    """Create the table, with the rows of the executions that have a budget or are below one."""
    op.execute("""
        CREATE TABLE budgets (
            execution_id uuid NOT NULL,
            root_id uuid NOT NULL,
            path uuid[] NOT NULL,
            spent_usd numeric(18, 6) DEFAULT 0 NOT NULL,
            reserved_usd numeric(18, 6) DEFAULT 0 NOT NULL,
            needed_usd numeric(18, 6),
            waits_since timestamptz,
            CONSTRAINT pk_budgets PRIMARY KEY (execution_id),
            CONSTRAINT fk_budgets_execution_id FOREIGN KEY (execution_id)
                REFERENCES executions (id)
        ) WITH (fillfactor = 50)
    """)
    op.execute("CREATE INDEX ix_budgets_root_id ON budgets (root_id)")
    op.execute("""
        WITH RECURSIVE tree AS (
            SELECT id, cost_usd, CASE WHEN budget_usd IS NULL THEN '{}' ELSE ARRAY[id] END AS path
            FROM executions WHERE parent_execution_id IS NULL
            UNION ALL
            SELECT e.id, e.cost_usd, CASE WHEN e.budget_usd IS NULL AND tree.path = '{}'
                THEN tree.path ELSE tree.path || e.id END
            FROM executions e JOIN tree ON e.parent_execution_id = tree.id
        ),
        spent AS (
            SELECT account, sum(cost_usd) AS usd FROM tree, unnest(path) AS account GROUP BY account
        ),
        reserved AS (
            SELECT account, sum(estimate_usd) AS usd
            FROM model_calls c JOIN tree ON tree.id = c.execution_id, unnest(path) AS account
            WHERE c.status = 'intended' GROUP BY account
        )
        INSERT INTO budgets (execution_id, root_id, path, spent_usd, reserved_usd)
        SELECT id, path[1], path, coalesce(spent.usd, 0), coalesce(reserved.usd, 0)
        FROM tree LEFT JOIN spent ON spent.account = id LEFT JOIN reserved ON reserved.account = id
        WHERE path <> '{}'
    """)
