"""Tables of plans and their steps. What runs is an execution: one of the plan, one of each step."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from persistence.tables.columns import CreatedAt, OwnedRow, Row


class PlanRow(OwnedRow):
    """A plan. `execution_id` is its newest run, the parent of the executions of its steps.

    A draft has none. A retry after the end makes another run, which names the one before.
    """

    __tablename__ = "plans"
    __table_args__ = (
        Index("ix_plans_user_id_id", "user_id", "id"),
        Index(
            "ix_plans_user_id_id_draft",
            "user_id",
            "id",
            postgresql_where=text("execution_id IS NULL"),
        ),
        Index("uq_plans_execution_id", "execution_id", unique=True),
    )

    title: Mapped[str]
    goal: Mapped[str | None]
    approval_required: Mapped[bool]
    budget_usd: Mapped[Decimal | None]
    max_parallel: Mapped[int | None]
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class PlanStepRow(Row):
    """A step as it is defined now. `execution_id` is its newest execution, if it has one."""

    __tablename__ = "plan_steps"
    __table_args__ = (Index("uq_plan_steps_execution_id", "execution_id", unique=True),)

    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plans.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    title: Mapped[str]
    prompt: Mapped[str]
    agent_id: Mapped[str | None]
    executor: Mapped[str | None]
    """Empty: the executor of the agent."""
    depends_on: Mapped[list[str]]
    budget_usd: Mapped[Decimal | None]
    execution_id: Mapped[UUID | None] = mapped_column(ForeignKey("executions.id"))
    reported_status: Mapped[str | None]
    """The status of that execution in the newest event of the plan about this step."""
    start_segment: Mapped[int | None]
    """The segment of the plan's workflow that starts that execution."""


class PlanGenerationRow(Row):
    """An execution in which Claude writes a plan, and the plan that came of it."""

    __tablename__ = "plan_generations"

    execution_id: Mapped[UUID] = mapped_column(ForeignKey("executions.id"), primary_key=True)
    plan_id: Mapped[UUID | None]
    """Empty until the execution is completed. The plan may have been deleted since."""
    request: Mapped[dict[str, Any]]
    """The body of the request (`services.plans.inputs.PlanGenerate`)."""
    corrections: Mapped[int] = mapped_column(default=0)
    """How often an invalid plan was returned to the model."""
