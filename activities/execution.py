"""The activities of an execution: each opens a transaction and calls the function for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import timedelta

import structlog
from temporalio import activity

from activities.background_tasks import send_heartbeats
from activities.call_claude import (
    ExecutionRunner,
    LoopProgress,
    confirm_late_attempt,
    current_run,
)
from activities.failures import is_retryable, translate_errors
from activities.render_prompt import render_prompt
from contracts.activities import ExecutionActivities
from contracts.execution import (
    CallClaudeResult,
    CreateExecutionInput,
    CreateExecutionResult,
    CreateSessionResult,
    FinishInput,
    FinishResult,
    RenderPromptResult,
    RunRef,
    WorkerState,
)
from contracts.plans import AdvancePlanResult, PlanActivities
from domain.errors import ResetRefusedError
from domain.executions.outcomes import ENDS, Outcome
from domain.executions.states import ExecutionStatus
from persistence.definitions.scheduled_runs import Firing
from persistence.executions import admission, lifecycle
from persistence.executions.lifecycle import Ended
from persistence.executions.prompts import PromptSource
from persistence.plans import plans
from reports.compose import compose_json
from services.caller import Caller
from services.plans import advancing, generation
from services.reports import store_report
from services.scheduling.scheduled_runs import start_scheduled
from services.unit_of_work import Services

log = structlog.get_logger(__name__)


class Activities(ExecutionActivities, PlanActivities):
    """Registered with the workers; one instance per process."""

    def __init__(self, runner: ExecutionRunner, services: Services) -> None:
        """`services` start scheduled runs."""
        self._runner = runner
        self._database = runner.database
        self._services = services

    @activity.defn(name="create_execution")
    async def create_execution(self, given: CreateExecutionInput) -> CreateExecutionResult:
        """Create the execution of a scheduled run."""
        workflow_id = activity.info().workflow_id
        if workflow_id is None:
            raise RuntimeError("create_execution must be called by a workflow")
        run = Firing(given.task_id, workflow_id, given.first_run_id, given.scheduled_at)
        with translate_errors():
            async with self._services.transaction(Caller.engine()) as work:
                execution_id = await start_scheduled(work, run)
        return CreateExecutionResult(execution_id=execution_id)

    @activity.defn(name="create_session")
    async def create_session(self, run: RunRef) -> CreateSessionResult:
        """Create the session and mark the execution as running."""
        async with self._record_refused_resets(run):
            return await admission.create_session(
                self._database, run.execution_id, current_run(run)
            )

    @activity.defn(name="render_prompt")
    async def render_prompt(self, run: RunRef) -> RenderPromptResult:
        """Write the first message and pin the model input."""
        with translate_errors():
            return await self._render_prompt(run)

    async def _render_prompt(
        self, run: RunRef, source: PromptSource | None = None
    ) -> RenderPromptResult:
        return await render_prompt(
            self._database,
            run.execution_id,
            default_model=self._services.settings.default_model,
            network=self._services.settings.network,
            source=source,
        )

    @activity.defn(name="check_worker")
    async def check_worker(self, run: RunRef) -> WorkerState:
        """Read what an external execution waits for, and finish it if it has ended or must end."""
        async with self._record_refused_resets(run):
            identity = current_run(run)
            known = await lifecycle.acknowledge_end(self._database.raw, run.execution_id, identity)
            if known is not None:
                return WorkerState(must_finish=True, end=_make_result(known))
            state = await admission.check_worker(self._database, run.execution_id, identity)
            if not state.must_finish:
                return state
            end = await self._finish(FinishInput(run=run, status=ExecutionStatus.CANCELLED))
        return state.model_copy(update={"end": end})

    @activity.defn(name="call_claude")
    async def call_claude(self, run: RunRef) -> CallClaudeResult:
        """Call Claude and run its tools until the execution needs something from outside.

        The first segment of an execution creates its session and renders its prompt; the last one
        writes its end, if no report is wanted.
        """
        progress = LoopProgress()
        # One sender for the whole segment: each waits before its first heartbeat.
        async with self._record_refused_resets(run, progress.retry_delay):
            with send_heartbeats(progress.details):
                await confirm_late_attempt()
                run_segment = self._start_and_run if run.is_start else self._runner.run
                result = await run_segment(run, progress)
                if result.outcome in ENDS and not result.wants_report:
                    return await self._try_to_end(run, result)
        return result

    async def _start_and_run(self, run: RunRef, progress: LoopProgress) -> CallClaudeResult:
        """Create the session, render the prompt and run the first segment; all can be repeated."""
        # Segment 0 is the start: a workflow that replaces a lost one begins a new epoch.
        start = replace(current_run(run), segment=0)
        source = await lifecycle.start(self._database, run.execution_id, start)
        if source is None:
            created = await admission.create_session(self._database, run.execution_id, start)
            if created.is_terminal:
                return CallClaudeResult(outcome=Outcome.CANCELLED)
        rendered = await self._render_prompt(run, source)
        if rendered.error_code is not None:
            return CallClaudeResult(outcome=Outcome.FAILED, error_code=rendered.error_code)
        known = {"last_message_seq": rendered.last_message_seq}
        return await self._runner.run(run.model_copy(update=known), progress)

    async def _try_to_end(self, run: RunRef, result: CallClaudeResult) -> CallClaudeResult:
        """Write the end. If that fails, the workflow calls `finish`, which can be repeated alone.

        A repeated segment would be counted as an attempt without progress.
        """
        status = ENDS[result.outcome]
        given = FinishInput(run=run, status=status, error_code=result.error_code)
        try:
            end = await self._finish(given)
        except Exception as error:
            if not is_retryable(error):
                raise
            log.warning("call_claude.end_failed", error=type(error).__name__)
            return result
        return result.model_copy(update={"end": end})

    @activity.defn(name="report")
    async def report(self, run: RunRef) -> None:
        """Store the report, if the task wants one."""
        with translate_errors():
            await store_report(self._database, run.execution_id, compose_json)

    @activity.defn(name="finish")
    async def finish(self, given: FinishInput) -> FinishResult:
        """Write the terminal status."""
        async with self._record_refused_resets(given.run):
            return await self._finish(given)

    async def _finish(self, given: FinishInput) -> FinishResult:
        run = given.run
        async with self._services.transaction(Caller.engine(), is_one_service=True) as work:
            end = await generation.finish(
                work,
                run.execution_id,
                current_run(run),
                status=given.status,
                error_code=given.error_code,
                report_failed=given.report_failed,
            )
            cost_usd = end.cost_usd
            if given.is_plan:
                cost_usd = await plans.sum_costs(work.session, run.execution_id)
        if not end.has_unread_messages:
            self._runner.live_watchers.publish_end(run.execution_id, end.event_seq)
        return _make_result(end).model_copy(update={"cost_usd": cost_usd})

    @activity.defn(name="advance_plan")
    async def advance_plan(self, run: RunRef) -> AdvancePlanResult:
        """Find the steps of a plan to start, or write its end."""
        async with self._record_refused_resets(run), self._database.transaction() as session:
            advanced = await advancing.advance(session, run.execution_id, current_run(run))
        return AdvancePlanResult(**asdict(advanced))

    @asynccontextmanager
    async def _record_refused_resets(
        self, run: RunRef, retry_delay: Callable[[], timedelta | None] = lambda: None
    ) -> AsyncIterator[None]:
        """Translate errors; for activities that may be the first one after a reset.

        If the reset is refused, the activity's transaction is rolled back, and the refusal is
        recorded in another one.
        """
        with translate_errors(retry_delay):
            try:
                yield
            except ResetRefusedError as refusal:
                async with self._database.transaction() as session:
                    await admission.record_refusal(session, run.execution_id, refusal)
                raise


def _make_result(end: Ended) -> FinishResult:
    return FinishResult(
        status=end.status,
        error_code=end.error_code,
        has_unread_messages=end.has_unread_messages,
        parent_workflow_id=end.parent_workflow_id,
        cost_usd=end.cost_usd,
        turns=end.turns,
    )
