"""What the record of a plan gives for its report: `persistence` reads it, `reports` shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from domain.executions.report_facts import Excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStepFacts:
    """A step, and how its newest execution ended; `state` is its status, or `draft`.

    `batch` counts from 0. `cost_usd` includes neither its subtasks nor earlier executions.
    """

    key: str
    title: str
    state: str
    batch: int
    depends_on: tuple[str, ...]
    executor: str
    agent_id: str | None
    execution_id: UUID | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    cost_usd: Decimal
    result: Excerpt | None
    error_code: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """A plan and its steps in their order, at `read_at`.

    `cost_usd` is the cost of all its executions, with subtasks and those that were retried. The
    critical path holds the keys of the chain of steps that takes longest. `is_scripted`: a scripted
    model answered in a step, so its cost was not paid.
    """

    plan_id: UUID
    title: str
    goal: Excerpt | None
    status: str
    read_at: datetime
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    execution_id: UUID | None
    error_code: str | None
    message: str | None
    budget_usd: Decimal | None
    cost_usd: Decimal
    is_scripted: bool
    critical_path: tuple[str, ...]
    steps: Sequence[PlanStepFacts]
