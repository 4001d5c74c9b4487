"""One execution as a workflow: the story of a run, in a few commands. Deterministic code only."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from contracts import names, policies
    from contracts.activities import ExecutionActivities
    from contracts.execution import (
        CallClaudeResult,
        CreateExecutionInput,
        ExecutionInput,
        ExecutionResult,
        FinishInput,
        FinishResult,
        Progress,
        RunRef,
    )
    from domain.errors import ErrorCode
    from domain.outcomes import Outcome
    from domain.states import ExecutionStatus

STATUS = SearchAttributeKey.for_keyword(names.STATUS)
TRIGGER = SearchAttributeKey.for_keyword(names.TRIGGER)
COST_USD = SearchAttributeKey.for_float(names.COST_USD)
SCHEDULED_AT = SearchAttributeKey.for_datetime(names.SCHEDULED_AT)

SKIPPED = "skipped"
"""What `PerdureStatus` says of a schedule's fire that made no execution."""

WAITING = {
    Outcome.NEEDS_PEOPLE: ExecutionStatus.WAITING_FOR_USER,
    Outcome.NEEDS_SUBTASKS: ExecutionStatus.WAITING_FOR_SUBTASK,
    Outcome.PAUSED: ExecutionStatus.PAUSED,
}
"""Outcomes that are states of their own; in all others the execution is running."""

ENDS = {
    Outcome.DONE: ExecutionStatus.COMPLETED,
    Outcome.FAILED: ExecutionStatus.FAILED,
    Outcome.CANCELLED: ExecutionStatus.CANCELLED,
}
"""Outcomes that end the execution, unless a message comes first."""


@workflow.defn(name=names.TASK_EXECUTION)
class TaskExecution:
    """Creates the session, renders the prompt, lets Claude work, waits, reports, finishes.

    All content is in Postgres; this decides only what happens next.
    """

    @workflow.init
    def __init__(self, start: ExecutionInput) -> None:
        """State that signals may touch before `run` begins."""
        self._execution_id = start.execution_id
        self._segment = start.segment
        self._last_step = start.last_step
        self._is_continued = start.is_continued
        self._rings = 0
        self._children: set[str] = set()
        self._progress = Progress(status=ExecutionStatus.RUNNING, activity="starting")

    @workflow.signal(name=names.RING)
    def ring(self) -> None:
        """There is something unread in Postgres."""
        self._rings += 1

    @workflow.query(name=names.PROGRESS)
    def progress(self) -> Progress:
        """Where the execution stood at the end of its last segment."""
        return self._progress

    @workflow.run
    async def run(self, start: ExecutionInput) -> ExecutionResult:
        """From start to end; a failed execution fails the workflow with its error code."""
        try:
            if start.task_id is not None and not await self._create_execution(start.task_id):
                return ExecutionResult(status=ExecutionStatus.CANCELLED, is_skipped=True)
            end = await self._live()
        except asyncio.CancelledError:
            end = await asyncio.shield(self._finish(ExecutionStatus.CANCELLED))
        except Exception as error:
            if not is_cancelled_exception(error):
                if isinstance(error, ActivityError) and error.cause is not None:
                    # What the step says is the first thing to be read in Temporal's UI.
                    raise error.cause from None
                raise
            end = await asyncio.shield(self._finish(ExecutionStatus.CANCELLED))
        if end.parent_workflow_id is not None:
            await self._ring_parent(end.parent_workflow_id)
        if end.status is ExecutionStatus.FAILED:
            code = end.error_code or ErrorCode.WORKER_ERROR
            raise ApplicationError(
                "The execution failed; its record says why.", type=code, non_retryable=True
            )
        return ExecutionResult(status=end.status, error_code=end.error_code)

    # --- the story ----------------------------------------------------------------------------

    async def _create_execution(self, task_id: UUID) -> bool:
        """The row of a schedule's fire; False where the fire is skipped.

        A cancel that comes meanwhile has to know what it cancels, so it waits.
        """
        info = workflow.info()
        fire = CreateExecutionInput(
            task_id=task_id,
            first_run_id=info.first_execution_run_id,
            scheduled_at=info.typed_search_attributes.get(SCHEDULED_AT, info.start_time),
        )
        creating = asyncio.ensure_future(
            workflow.execute_local_activity_method(
                ExecutionActivities.create_execution,
                fire,
                start_to_close_timeout=policies.DATABASE_STEP,
                retry_policy=policies.FOREVER,
                summary="Make the execution of this fire",
            )
        )
        try:
            self._execution_id = (await asyncio.shield(creating)).execution_id
        except asyncio.CancelledError:
            self._execution_id = (await creating).execution_id
            if self._execution_id is not None:
                raise
        if self._execution_id is None:
            self._show(ExecutionStatus.CANCELLED, "the fire was skipped; the schedule says why")
            workflow.upsert_search_attributes([STATUS.value_set(SKIPPED)])
        return self._execution_id is not None

    async def _live(self) -> FinishResult:
        if not self._is_continued and (end := await self._begin()) is not None:
            return end
        while True:
            seen = self._rings
            result = await self._call_claude()
            if result.outcome in ENDS:
                end = await self._end(result)
                if not end.is_unread:
                    return end
            else:
                await self._start_children(result)
                if result.outcome is not Outcome.HANDED_OVER:
                    await self._wait(seen, result.wakes_at)
            await self._continue_as_new_if_suggested()

    async def _begin(self) -> FinishResult | None:
        """Session and prompt. The end, if there is nothing to do or the definition is of no use."""
        created = await workflow.execute_local_activity_method(
            ExecutionActivities.create_session,
            self._ref(),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Open the conversation",
        )
        if created.is_terminal:
            return await self._finish(ExecutionStatus.CANCELLED)
        rendered = await workflow.execute_local_activity_method(
            ExecutionActivities.render_prompt,
            self._ref(),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Write the prompt, pin what the model will see",
        )
        self._last_step = rendered.last_step
        if rendered.error_code is not None:
            return await self._finish(ExecutionStatus.FAILED, rendered.error_code)
        return None

    async def _call_claude(self) -> CallClaudeResult:
        self._show(ExecutionStatus.RUNNING, "Claude works")
        self._segment += 1
        result = await workflow.execute_activity_method(
            ExecutionActivities.call_claude,
            self._ref(),
            start_to_close_timeout=policies.CALL_CLAUDE_START_TO_CLOSE,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.FOREVER,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"Segment {self._segment}: call Claude and run its tools",
        )
        self._last_step = result.last_step
        status = WAITING.get(result.outcome, ExecutionStatus.RUNNING)
        self._progress = Progress(
            status=status,
            activity=result.outcome,
            turns=result.turns,
            cost_usd=result.cost_usd,
            wakes_at=result.wakes_at,
        )
        return result

    async def _end(self, result: CallClaudeResult) -> FinishResult:
        has_report = await self._report() if result.wants_report else True
        return await self._finish(
            ENDS[result.outcome], result.error_code, report_failed=not has_report
        )

    async def _report(self) -> bool:
        """Whether the report was made; that it could not be is noted and fails nothing."""
        try:
            await workflow.execute_activity_method(
                ExecutionActivities.report,
                self._ref(),
                task_queue=names.REPORTS_QUEUE,
                schedule_to_close_timeout=policies.REPORT_SCHEDULE_TO_CLOSE,
                start_to_close_timeout=policies.REPORT_START_TO_CLOSE,
                retry_policy=policies.REPORT_RETRIES,
                summary="Store the report",
            )
        except Exception as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("The report could not be made", exc_info=error)
            return False
        return True

    async def _finish(
        self,
        status: ExecutionStatus,
        error_code: ErrorCode | None = None,
        *,
        report_failed: bool = False,
    ) -> FinishResult:
        self._segment += 1
        end = await workflow.execute_local_activity_method(
            ExecutionActivities.finish,
            FinishInput(
                run=self._ref(), status=status, error_code=error_code, report_failed=report_failed
            ),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary=f"Write the end: {status}",
        )
        if not end.is_unread:
            self._show(end.status, str(end.error_code or "nothing left to do"))
            workflow.upsert_search_attributes(
                [STATUS.value_set(end.status), COST_USD.value_set(float(end.cost_usd))]
            )
        return end

    # --- waiting ------------------------------------------------------------------------------

    async def _wait(self, seen: int, wakes_at: datetime | None) -> None:
        """Until a bell rings that the last segment can't have heard, or until the time given."""
        status = self._progress.status
        if status is not ExecutionStatus.RUNNING:
            workflow.upsert_search_attributes([STATUS.value_set(status)])
        self._show(status, f"Waits until {wakes_at:%F %T} UTC" if wakes_at else "Waits")
        timeout = None if wakes_at is None else max(wakes_at - workflow.now(), timedelta(0))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._rings > seen,
                timeout=timeout,
                timeout_summary="Until the time that was set",
            )
        if status is not ExecutionStatus.RUNNING:
            workflow.upsert_search_attributes([STATUS.value_set(ExecutionStatus.RUNNING)])

    async def _start_children(self, result: CallClaudeResult) -> None:
        """Start the subtasks that are on record; those that run already are left alone."""
        new = [child for child in result.children if str(child) not in self._children]
        starts: list[Awaitable[object]] = []
        for child in new:
            self._children.add(str(child))
            starts.append(
                workflow.start_child_workflow(
                    TaskExecution.run,
                    ExecutionInput(execution_id=child),
                    id=names.workflow_id(child),
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    search_attributes=self._inherited_attributes(),
                    static_summary="Subtask",
                )
            )
        for outcome in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, WorkflowAlreadyStartedError
            ):
                raise outcome

    @staticmethod
    def _inherited_attributes() -> TypedSearchAttributes:
        """The parent's attributes, as those of a running subtask."""
        own: list[SearchAttributePair[Any]] = [
            SearchAttributePair(STATUS, ExecutionStatus.RUNNING),
            SearchAttributePair(TRIGGER, "subtask"),
            SearchAttributePair(COST_USD, 0.0),
        ]
        kept = names.SEARCH_ATTRIBUTES.keys() - {pair.key.name for pair in own}
        inherited = workflow.info().typed_search_attributes
        return TypedSearchAttributes([*own, *(p for p in inherited if p.key.name in kept)])

    async def _ring_parent(self, parent_workflow_id: str) -> None:
        """The subtask's end is a row; a parent that is gone needs no bell."""
        parent = workflow.get_external_workflow_handle(parent_workflow_id)
        try:
            await parent.signal(names.RING)
        except FailureError:
            workflow.logger.info("The parent is gone", extra={"parent": parent_workflow_id})

    async def _continue_as_new_if_suggested(self) -> None:
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(
                ExecutionInput(
                    execution_id=self._execution_id,
                    segment=self._segment,
                    last_step=self._last_step,
                    is_continued=True,
                )
            )

    # --- small things -------------------------------------------------------------------------

    def _ref(self) -> RunRef:
        info = workflow.info()
        if self._execution_id is None:
            raise ApplicationError("There is no execution to move.", non_retryable=True)
        return RunRef(
            execution_id=self._execution_id,
            segment=self._segment,
            last_step=self._last_step,
            is_reset=info.run_id != info.original_execution_run_id,
        )

    def _show(self, status: ExecutionStatus, activity: str) -> None:
        """What the Temporal UI shows as current details, and the query's answer."""
        self._progress = self._progress.model_copy(update={"status": status, "activity": activity})
        progress = self._progress
        workflow.set_current_details(
            f"**{status}**: {activity}  \nturns: {progress.turns}, cost: ${progress.cost_usd}"
        )
