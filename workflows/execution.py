"""The workflow of one execution. Deterministic code only; all content is in Postgres."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    TimeoutType,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as TimeoutFailure

from workflows.children import COST_USD, STATUS, start_children
from workflows.runs import WorkflowRun, run_or_cancel

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
        WorkerState,
    )
    from domain.errors import ErrorCode
    from domain.executions.outcomes import ENDS, Outcome
    from domain.executions.states import ExecutionStatus

SCHEDULED_AT = SearchAttributeKey.for_datetime(names.SCHEDULED_AT)

SKIPPED = "skipped"
"""`PerdureStatus` of a scheduled workflow that created no execution."""

WAITING = {
    Outcome.NEEDS_INPUT: ExecutionStatus.WAITING_FOR_USER,
    Outcome.NEEDS_SUBTASKS: ExecutionStatus.WAITING_FOR_SUBTASK,
    Outcome.PAUSED: ExecutionStatus.PAUSED,
}
"""The state each waiting outcome sets. With every other outcome the execution stays running."""


@workflow.defn(name=names.TASK_EXECUTION)
class TaskExecution(WorkflowRun):
    """Creates the session, renders the prompt, calls Claude, waits, reports, finishes.

    It decides only what happens next; activities read and write the content.
    """

    @workflow.init
    def __init__(self, start: ExecutionInput) -> None:
        """Set the state that a signal may change before `run` starts."""
        super().__init__(start)
        self._is_continued = start.is_continued
        self._host_answers = policies.HOST_ANSWERS
        self._started_subtasks: set[UUID] = set()

    @workflow.run
    async def run(self, start: ExecutionInput) -> ExecutionResult:
        """Run the execution to its end. A failed execution fails the workflow with its code."""
        end = await run_or_cancel(
            self._create_and_run(start.task_id), lambda: self._finish(ExecutionStatus.CANCELLED)
        )
        if end is None:
            return ExecutionResult(status=ExecutionStatus.CANCELLED, is_skipped=True)
        if end.parent_workflow_id is not None:
            await self._wake_parent(end.parent_workflow_id)
        if end.status is ExecutionStatus.FAILED:
            code = end.error_code or ErrorCode.WORKER_ERROR
            raise ApplicationError(
                "The execution failed. Read its error_message in Perdure.",
                type=code,
                non_retryable=True,
            )
        return ExecutionResult(status=end.status, error_code=end.error_code)

    # --- steps --------------------------------------------------------------------------------

    async def _create_and_run(self, task_id: UUID | None) -> FinishResult | None:
        """Run the execution to its end; None if this is a scheduled run that is skipped."""
        if task_id is not None and not await self._create_execution(task_id):
            return None
        return await self._run_to_end()

    async def _create_execution(self, task_id: UUID) -> bool:
        """Create the execution of a scheduled run. Return False if the run is skipped.

        A cancellation waits until the row exists, because it has to cancel that row.
        """
        info = workflow.info()
        scheduled_run = CreateExecutionInput(
            task_id=task_id,
            first_run_id=info.first_execution_run_id,
            scheduled_at=info.typed_search_attributes.get(SCHEDULED_AT, info.start_time),
        )
        creating = asyncio.ensure_future(
            workflow.execute_local_activity_method(
                ExecutionActivities.create_execution,
                scheduled_run,
                start_to_close_timeout=policies.DATABASE_STEP,
                retry_policy=policies.FOREVER,
                summary="Create the execution of this scheduled run",
            )
        )
        try:
            self._execution_id = (await asyncio.shield(creating)).execution_id
        except asyncio.CancelledError:
            self._execution_id = (await creating).execution_id
            if self._execution_id is not None:
                raise
        if self._execution_id is None:
            self._show(
                ExecutionStatus.CANCELLED, "skipped; see the schedule of the task for the reason"
            )
            workflow.upsert_search_attributes([STATUS.value_set(SKIPPED)])
        return self._execution_id is not None

    async def _run_to_end(self) -> FinishResult:
        is_prepared = self._is_continued or self._is_start
        if not is_prepared and (end := await self._prepare()) is not None:
            return end
        while True:
            seen = self._wakes
            result = await self._call_claude()
            while result is None:
                result = await self._call_claude()
            if result.outcome in ENDS:
                end = await self._end(result)
                if not end.has_unread_messages:
                    return end
            else:
                await self._start_subtasks(result)
                if result.outcome is not Outcome.HANDED_OVER:
                    await self._wait(seen, result.wakes_at)
            await self._continue_as_new_if_suggested()

    async def _prepare(self) -> FinishResult | None:
        """Create the session and render the prompt. Return the end if Claude is not called."""
        seen = self._wakes
        created = await workflow.execute_local_activity_method(
            ExecutionActivities.create_session,
            self._ref(),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Create the session",
        )
        if created.is_terminal:
            return await self._finish(ExecutionStatus.CANCELLED)
        if created.worker is not None:
            return await self._wait_for_worker(created.worker, seen)
        rendered = await workflow.execute_local_activity_method(
            ExecutionActivities.render_prompt,
            self._ref(),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary="Render the prompt and pin the model input",
        )
        self._last_step = rendered.last_message_seq
        if rendered.error_code is not None:
            return await self._finish(ExecutionStatus.FAILED, rendered.error_code)
        return None

    async def _call_claude(self) -> CallClaudeResult | None:
        """Run a segment; None if it has to be repeated on another host."""
        self._show(ExecutionStatus.RUNNING, "calling Claude")
        self._segment += 1
        host_id = self._host_id
        try:
            result = await workflow.execute_activity_method(
                ExecutionActivities.call_claude,
                self._ref(),
                task_queue=None if host_id is None else names.host_queue(host_id),
                schedule_to_start_timeout=None if host_id is None else self._host_answers,
                start_to_close_timeout=policies.CALL_CLAUDE_START_TO_CLOSE,
                heartbeat_timeout=policies.HEARTBEAT,
                retry_policy=policies.FOREVER if host_id is None else policies.ON_HOST,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"Segment {self._segment}: call Claude and run its tools",
            )
        except ActivityError as error:
            if host_id is None or not isinstance(error.cause, TimeoutFailure):
                raise
            self._leave_host(error.cause)
            return None
        self._host_id = result.host_id
        if result.outcome is Outcome.ELSEWHERE:
            return None
        self._is_start = self._is_repeat = False
        self._host_answers = policies.HOST_ANSWERS
        self._last_step = result.last_message_seq
        status = WAITING.get(result.outcome, ExecutionStatus.RUNNING)
        self._progress = Progress(
            status=status,
            activity=result.outcome,
            turns=result.turns,
            cost_usd=result.cost_usd,
            wakes_at=result.wakes_at,
        )
        return result

    def _leave_host(self, timeout: TimeoutFailure) -> None:
        """Let any host decide whether the one with the files still answers.

        Raises:
            CancelledError: the workflow was cancelled while it waited for the host.
        """
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        self._host_id = None
        if timeout.type is TimeoutType.SCHEDULE_TO_START:
            self._host_answers = min(self._host_answers * 2, policies.HOST_ANSWERS_AT_MOST)
        else:
            self._is_repeat = True

    async def _end(self, result: CallClaudeResult) -> FinishResult:
        if result.end is not None:
            self._show_end(result.end)
            return result.end
        has_report = await self._report() if result.wants_report else True
        return await self._finish(
            ENDS[result.outcome], result.error_code, report_failed=not has_report
        )

    async def _report(self) -> bool:
        """Store the report. Return False if that failed; the execution still ends normally."""
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
            workflow.logger.warning("The report could not be created", exc_info=error)
            return False
        return True

    async def _finish(
        self,
        status: ExecutionStatus,
        error_code: ErrorCode | None = None,
        *,
        report_failed: bool = False,
        summary: str | None = None,
    ) -> FinishResult:
        self._segment += 1
        end = await workflow.execute_local_activity_method(
            ExecutionActivities.finish,
            FinishInput(
                run=self._ref(), status=status, error_code=error_code, report_failed=report_failed
            ),
            start_to_close_timeout=policies.DATABASE_STEP,
            retry_policy=policies.FOREVER,
            summary=summary or f"Finish: {status}",
        )
        self._show_end(end)
        return end

    def _show_end(self, end: FinishResult) -> None:
        if not end.has_unread_messages:
            # The last segment does not know them if its worker died after it wrote the end.
            totals = {"turns": end.turns, "cost_usd": end.cost_usd}
            self._progress = self._progress.model_copy(update=totals)
            self._show(end.status, str(end.error_code or "done"))
            workflow.upsert_search_attributes(
                [STATUS.value_set(end.status), COST_USD.value_set(float(end.cost_usd))]
            )

    # --- waiting ------------------------------------------------------------------------------

    async def _wait(self, seen: int, wakes_at: datetime | None) -> None:
        """Wait for a signal that the last segment cannot have read, or until the given time.

        `PerdureStatus` is running again when the wait ends. That is one event and one write of
        Temporal's visibility store for each resumed execution, also if it ends within a second.
        A delay would need a timer, which is two events.
        """
        status = self._progress.status
        if status is not ExecutionStatus.RUNNING:
            workflow.upsert_search_attributes([STATUS.value_set(status)])
        self._show(status, f"waiting until {wakes_at:%F %T} UTC" if wakes_at else "waiting")
        await self._wait_for_wake(seen, wakes_at)
        if status is not ExecutionStatus.RUNNING:
            workflow.upsert_search_attributes([STATUS.value_set(ExecutionStatus.RUNNING)])

    async def _wait_for_worker(self, worker: WorkerState, seen: int) -> FinishResult:
        """Wait until a request has ended the external execution, a cancel, or the deadline."""
        self._show(ExecutionStatus.PENDING, "waiting for an external worker")
        while not worker.must_finish:
            await self._wait_for_wake(seen, worker.deadline_at)
            if self._wakes == seen:
                return await self._finish(ExecutionStatus.FAILED, ErrorCode.DEADLINE_PASSED)
            seen = self._wakes
            worker = await workflow.execute_local_activity_method(
                ExecutionActivities.check_worker,
                self._ref(),
                start_to_close_timeout=policies.DATABASE_STEP,
                retry_policy=policies.FOREVER,
                summary="Finish, if the worker has ended the work or it is cancelled",
            )
            if worker.end is not None:  # the results of earlier versions have none
                self._show_end(worker.end)
                return worker.end
        return await self._finish(
            ExecutionStatus.CANCELLED, summary="Finish: the worker has ended, or a cancel"
        )

    async def _wait_for_wake(self, seen: int, wakes_at: datetime | None) -> None:
        """Wait for a signal beyond those that were seen, or until the given time."""
        timeout = None if wakes_at is None else max(wakes_at - workflow.now(), timedelta(0))
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._wakes > seen,
                timeout=timeout,
                timeout_summary="Wait until the requested time",
            )

    async def _start_subtasks(self, result: CallClaudeResult) -> None:
        """Start the recorded subtasks that are not running yet."""
        new = [i for i in dict.fromkeys(result.subtask_ids) if i not in self._started_subtasks]
        self._started_subtasks.update(new)
        await start_children(new, trigger="subtask", summary="Subtask")

    async def _wake_parent(self, parent_workflow_id: str) -> None:
        """Signal the parent that its subtask has ended. A closed parent needs no signal."""
        parent = workflow.get_external_workflow_handle(parent_workflow_id)
        try:
            await parent.signal(names.WAKE)
        except FailureError:
            workflow.logger.info(
                "The parent workflow is closed", extra={"parent": parent_workflow_id}
            )

    # --- state --------------------------------------------------------------------------------

    def _show(self, status: ExecutionStatus, activity: str) -> None:
        """Set the current details in the Temporal UI and the answer to the query `progress`."""
        self._progress = self._progress.model_copy(update={"status": status, "activity": activity})
        progress = self._progress
        workflow.set_current_details(
            f"**{status}**: {activity}, since {workflow.now():%Y-%m-%d %H:%M} UTC  \n"
            f"turns: {progress.turns}, cost: ${progress.cost_usd}  \n"
            f"execution: `perdure executions get {self._execution_id}`"
        )
