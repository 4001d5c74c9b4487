"""The execution's activities, implemented: each opens its transaction and calls who does it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

from activities import report as reporting
from activities.call_claude import ExecutionRunner, identity
from activities.failures import translated
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
)
from domain.errors import ResetRefusedError
from persistence.definitions.scheduled_runs import Firing
from persistence.executions import admission
from services.executions import finishing
from services.quotas import Quotas
from services.scheduling.scheduled_runs import start_scheduled


class Activities(ExecutionActivities):
    """Registered with the workers; one instance per process."""

    def __init__(self, caller: ExecutionRunner, *, default_model: str, quotas: Quotas) -> None:
        """`default_model` is what a definition without a model runs on; `quotas` bound fires."""
        self._caller = caller
        self._database = caller.database
        self._default_model = default_model
        self._quotas = quotas

    @activity.defn(name="create_execution")
    async def create_execution(self, fire: CreateExecutionInput) -> CreateExecutionResult:
        """Make the execution of a schedule's fire."""
        workflow_id = activity.info().workflow_id
        if workflow_id is None:
            raise RuntimeError("a fire is a workflow's")
        fired = Firing(fire.task_id, workflow_id, fire.first_run_id, fire.scheduled_at)
        with translated():
            async with self._database.transaction() as session:
                execution_id = await start_scheduled(session, fired, self._quotas)
        return CreateExecutionResult(execution_id=execution_id)

    @activity.defn(name="create_session")
    async def create_session(self, run: RunRef) -> CreateSessionResult:
        """Make the session and mark the execution running."""
        async with self._admitted(run):
            is_live = await admission.create_session(
                self._database, run.execution_id, identity(run)
            )
        return CreateSessionResult(is_terminal=not is_live)

    @activity.defn(name="render_prompt")
    async def render_prompt(self, run: RunRef) -> RenderPromptResult:
        """Write the first message and pin the prefix."""
        with translated():
            return await render_prompt(
                self._database, run.execution_id, default_model=self._default_model
            )

    @activity.defn(name="call_claude")
    async def call_claude(self, run: RunRef) -> CallClaudeResult:
        """Move the execution forward."""
        async with self._admitted(run):
            return await self._caller.call(run)

    @activity.defn(name="report")
    async def report(self, run: RunRef) -> None:
        """Store the report if the task wants one."""
        with translated():
            async with self._database.transaction() as session:
                await reporting.store(session, run.execution_id)

    @activity.defn(name="finish")
    async def finish(self, end: FinishInput) -> FinishResult:
        """Write the end."""
        async with self._admitted(end.run), self._database.transaction() as session:
            ended = await finishing.finish(
                session,
                end.run.execution_id,
                identity(end.run),
                status=end.status,
                error_code=end.error_code,
                report_failed=end.report_failed,
            )
        self._caller.watchers.publish_step(
            end.run.execution_id, ended.event_seq, is_settled=not ended.has_unread_messages
        )
        return FinishResult(
            status=ended.status,
            error_code=ended.error_code,
            has_unread_messages=ended.has_unread_messages,
            parent_workflow_id=ended.parent_workflow_id,
            cost_usd=ended.cost_usd,
        )

    @asynccontextmanager
    async def _admitted(self, run: RunRef) -> AsyncIterator[None]:
        """As `translated`, for steps that may be the first of an operator's reset.

        The step of one that is refused writes nothing; that it was is kept beside it.
        """
        with translated():
            try:
                yield
            except ResetRefusedError as refusal:
                async with self._database.transaction() as session:
                    await admission.record_refusal(session, run.execution_id, refusal)
                raise
