"""What the workflows of executions and of plans share. Deterministic code only."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts import names
    from contracts.execution import ExecutionInput, Progress, RunRef
    from domain.executions.states import ExecutionStatus

T = TypeVar("T")


class WorkflowRun:
    """How far a run has come, and the signal and the query that it answers."""

    def __init__(self, start: ExecutionInput) -> None:
        """Set the state that a signal may change before the workflow starts."""
        self._execution_id: UUID | None = start.execution_id
        self._segment = start.segment
        self._last_step = start.last_message_seq
        self._host_id = start.host_id
        """The host on which the execution continues, if there are several."""
        self._is_repeat = False
        self._is_start = start.is_for_claude
        """The next segment creates the session and renders the prompt first."""
        self._wakes = 0
        self._progress = Progress(status=ExecutionStatus.RUNNING, activity="starting")

    @workflow.signal(name=names.WAKE)
    def wake(self) -> None:
        """Count a wake-up: Postgres holds something that the workflow has not read."""
        self._wakes += 1

    @workflow.query(name=names.PROGRESS)
    def progress(self) -> Progress:
        """Return the state at the end of the last segment."""
        return self._progress

    def _ref(self) -> RunRef:
        info = workflow.info()
        if self._execution_id is None:
            raise ApplicationError("This workflow has no execution.", non_retryable=True)
        return RunRef(
            execution_id=self._execution_id,
            segment=self._segment,
            last_message_seq=self._last_step,
            is_reset=info.run_id != info.original_execution_run_id,
            run_id=info.run_id,
            continued_run_id=info.continued_run_id,
            is_repeat=self._is_repeat,
            is_start=self._is_start,
        )

    async def _continue_as_new_if_suggested(self) -> None:
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(
                ExecutionInput(
                    execution_id=self._execution_id,
                    segment=self._segment,
                    last_message_seq=self._last_step,
                    is_continued=True,
                    host_id=self._host_id,
                )
            )


async def run_or_cancel(work: Awaitable[T], cancel: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `work`, or that of `cancel` if the workflow is cancelled in Temporal.

    Raises:
        FailureError: an activity failed for good; its cause, which Temporal's UI then shows first.
    """
    try:
        return await work
    except asyncio.CancelledError:
        return await asyncio.shield(cancel())
    except Exception as error:
        if is_cancelled_exception(error):
            return await asyncio.shield(cancel())
        if isinstance(error, ActivityError) and error.cause is not None:
            raise error.cause from None
        raise
