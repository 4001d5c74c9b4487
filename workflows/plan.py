"""The workflow of one run of a plan. Deterministic code only; all content is in Postgres.

Prerequisites decide which steps are ready. The workflow starts them and waits.
"""

import asyncio
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from workflows.children import STATUS, start_children

with workflow.unsafe.imports_passed_through():
    from contracts import names, policies
    from contracts.activities import ExecutionActivities
    from contracts.execution import ExecutionInput, ExecutionResult, FinishInput, Progress, RunRef
    from contracts.plans import AdvancePlanResult, PlanActivities
    from domain.errors import ErrorCode
    from domain.plans import STEP_TRIGGER
    from domain.states import ExecutionStatus


@workflow.defn(name=names.PLAN)
class Plan:
    """Starts the steps of a plan as they become ready, until all of them have ended."""

    @workflow.init
    def __init__(self, start: ExecutionInput) -> None:
        """Set the state that a signal may change before `run` starts."""
        if start.execution_id is None:
            raise ApplicationError("This workflow has no execution.", non_retryable=True)
        self._execution_id: UUID = start.execution_id
        self._segment = start.segment
        self._wakes = 0
        self._status = ExecutionStatus.PENDING
        self._progress = Progress(status=ExecutionStatus.RUNNING, activity="starting")

    @workflow.signal(name=names.WAKE)
    def wake(self) -> None:
        """Count a wake-up: a step has ended, or a person or a request has changed something."""
        self._wakes += 1

    @workflow.query(name=names.PROGRESS)
    def progress(self) -> Progress:
        """Return the state of the plan when it was last advanced."""
        return self._progress

    @workflow.run
    async def run(self, start: ExecutionInput) -> ExecutionResult:
        """Run the plan to its end. A failed plan fails the workflow with its code."""
        del start
        try:
            status, code = await self._run_to_end()
        except asyncio.CancelledError:
            status, code = await asyncio.shield(self._cancel())
        except Exception as error:
            if not is_cancelled_exception(error):
                if isinstance(error, ActivityError) and error.cause is not None:
                    # Temporal's UI then shows the cause first.
                    raise error.cause from None
                raise
            status, code = await asyncio.shield(self._cancel())
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
        self._show(result.status, f"{result.completed} of {result.total} steps completed")
        return result

    async def _cancel(self) -> tuple[ExecutionStatus, ErrorCode | None]:
        """Write the end of a plan that was cancelled in Temporal."""
        self._segment += 1
        end = await workflow.execute_local_activity_method(
            ExecutionActivities.finish,
            FinishInput(run=self._ref(), status=ExecutionStatus.CANCELLED),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Finish: cancelled",
        )
        self._show(end.status, "cancelled")
        return end.status, end.error_code

    async def _continue_as_new_if_suggested(self) -> None:
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(
                ExecutionInput(
                    execution_id=self._execution_id, segment=self._segment, is_continued=True
                )
            )

    def _ref(self) -> RunRef:
        info = workflow.info()
        return RunRef(
            execution_id=self._execution_id,
            segment=self._segment,
            is_reset=info.run_id != info.original_execution_run_id,
            run_id=info.run_id,
            continued_run_id=info.continued_run_id,
        )

    def _show(self, status: ExecutionStatus, activity: str) -> None:
        """Set the details in the Temporal UI, and the answer to the query `progress`."""
        if status is not self._status:
            workflow.upsert_search_attributes([STATUS.value_set(status)])
            self._status = status
        self._progress = Progress(status=status, activity=activity)
        workflow.set_current_details(f"**{status}**: {activity}")
