"""The payloads of the workflow of a plan: ids and small facts, never content."""

from abc import ABC, abstractmethod
from decimal import Decimal
from uuid import UUID

from temporalio import activity

from contracts.execution import RunRef
from contracts.payloads import Contract
from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus


class AdvancePlanResult(Contract):
    """The state of the plan, and the executions of steps to start.

    `has_more`: more can start, so the next call follows at once. A terminal `status` is written;
    `cost_usd` is then the cost of the plan with all its steps.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    start_ids: tuple[UUID, ...] = ()
    has_more: bool = False
    completed: int = 0
    total: int = 0
    cost_usd: Decimal = Decimal(0)


class PlanActivities(ABC):
    """The activities of the workflow of a plan."""

    @activity.defn(name="advance_plan")
    @abstractmethod
    async def advance_plan(self, run: RunRef) -> AdvancePlanResult:
        """Read what is to do next, and write the end. A repeat returns the same steps again."""
