"""The workflow of one run of a plan. Deterministic code only; all content is in Postgres.

Prerequisites decide which steps are ready. The workflow starts them and waits.
"""

from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ApplicationError

from workflows.children import COST_USD, STATUS, start_children
from workflows.runs import WorkflowRun, run_or_cancel

with workflow.unsafe.imports_passed_through():
    from contracts import names, policies
    from contracts.activities import ExecutionActivities
    from contracts.execution import ExecutionInput, ExecutionResult, FinishInput, Progress
    from contracts.plans import AdvancePlanResult, PlanActivities
    from domain.errors import ErrorCode
    from domain.executions.states import ExecutionStatus
    from domain.plans.plan import STEP_TRIGGER


@workflow.defn(name=names.PLAN)
class Plan(WorkflowRun):
    """Starts the steps of a plan as they become ready, until all of them have ended."""

    @workflow.init
    def __init__(self, start: ExecutionInput) -> None:
        """Set the state that a signal may change before `run` starts."""
        super().__init__(start)
        self._status = ExecutionStatus.PENDING

    @workflow.run
    async def run(self, start: ExecutionInput) -> ExecutionResult:
        """Run the plan to its end. A failed plan fails the workflow with its code."""
        del start
        status, code = await run_or_cancel(self._run_to_end(), self._cancel)
        if status is ExecutionStatus.FAILED:
            raise ApplicationError(
                "The plan failed. Read its error_message in Perdure.",
                type=code or ErrorCode.WORKER_ERROR,
                non_retryable=True,
            )
        return ExecutionResult(status=status, error_code=code)

    async def _run_to_end(self) -> tuple[ExecutionStatus, ErrorCode | None]:
        while True:
            seen = self._wakes
            result = await self._advance()
            if result.status.is_terminal:
                return result.status, result.error_code
            await start_children(result.start_ids, trigger=STEP_TRIGGER, summary="Step of a plan")
            if not result.has_more:
                await self._wait_for_wake(seen)
            await self._continue_as_new_if_suggested()

    async def _wait_for_wake(self, seen: int) -> None:
        """Wait for a signal that the last call of `advance_plan` cannot have read."""
        await workflow.wait_condition(lambda: self._wakes > seen)

    async def _advance(self) -> AdvancePlanResult:
        self._segment += 1
        result = await workflow.execute_local_activity_method(
            PlanActivities.advance_plan,
            self._ref(),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Find the steps to start",
        )
        done = f"{result.completed} of {result.total} steps completed"
        self._show(result.status, done, COST_USD.value_set(float(result.cost_usd)))
        return result

    async def _cancel(self) -> tuple[ExecutionStatus, ErrorCode | None]:
        """Write the end of a plan that was cancelled in Temporal."""
        self._segment += 1
        end = await workflow.execute_local_activity_method(
            ExecutionActivities.finish,
            FinishInput(run=self._ref(), status=ExecutionStatus.CANCELLED, is_plan=True),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Finish: cancelled",
        )
        self._show(end.status, "cancelled", COST_USD.value_set(float(end.cost_usd)))
        return end.status, end.error_code

    def _show(
        self, status: ExecutionStatus, activity: str, *attributes: SearchAttributeUpdate[Any]
    ) -> None:
        """Set the details in the Temporal UI, and the answer to the query `progress`.

        `attributes` change with the status, in one event.
        """
        if status is not self._status:
            workflow.upsert_search_attributes([STATUS.value_set(status), *attributes])
            self._status = status
        self._progress = Progress(status=status, activity=activity)
        workflow.set_current_details(f"**{status}**: {activity}")
