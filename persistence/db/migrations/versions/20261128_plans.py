"""Plans and their steps.

Revision ID: 20261128_plans
Revises: 20261128_subtasks
"""

from alembic import op

revision = "20261128_plans"
down_revision = "20261128_subtasks"


def upgrade() -> None:
    """Create both tables."""
    op.execute("""
        CREATE TABLE plans (
            id uuid NOT NULL CONSTRAINT pk_plans PRIMARY KEY,
            user_id uuid NOT NULL CONSTRAINT fk_plans_user_id REFERENCES users,
            title text NOT NULL,
            goal text,
            approval_required boolean NOT NULL,
            budget_usd numeric(18, 6),
            max_parallel integer,
            execution_id uuid CONSTRAINT fk_plans_execution_id REFERENCES executions,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX ix_plans_user_id_id ON plans (user_id, id)")
    op.execute("""
        CREATE INDEX ix_plans_user_id_id_draft ON plans (user_id, id) WHERE execution_id IS NULL
    """)
    op.execute("CREATE UNIQUE INDEX uq_plans_execution_id ON plans (execution_id)")
    op.execute("""
        CREATE TABLE plan_steps (
            plan_id uuid NOT NULL CONSTRAINT fk_plan_steps_plan_id REFERENCES plans,
            key text NOT NULL,
            position integer NOT NULL,
            title text NOT NULL,
            prompt text NOT NULL,
            agent_id text,
            executor text,
            depends_on json NOT NULL,
            budget_usd numeric(18, 6),
            execution_id uuid CONSTRAINT fk_plan_steps_execution_id REFERENCES executions,
            reported_status text,
            CONSTRAINT pk_plan_steps PRIMARY KEY (plan_id, key)
        )
    """)
    op.execute("CREATE UNIQUE INDEX uq_plan_steps_execution_id ON plan_steps (execution_id)")
