"""One attempt at an execution: its view of the record, and its limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from agent import events, inbox
from agent.interrupts import InterruptWatcher, run_to_end
from agent.ports import Record, UpdatePublisher
from agent.state import RunState
from domain.errors import ErrorCode
from domain.executions.budgets import Shortage
from domain.executions.events import Event
from domain.executions.outcomes import Outcome, Stop
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallOutcome,
    CallStatus,
    Failure,
    Receipt,
    Snapshot,
    StatusChange,
    Step,
)

SETTLED_STATUSES = (ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.PAUSED)
"""States that only a person ends."""

Write = Callable[[], Awaitable[Receipt | Shortage]]
"""Writes one step."""


class Attempt:
    """Writes steps, reads signals, and decides when to end. The parts of one loop share it."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        record: Record,
        live_updates: UpdatePublisher,
        interrupts: InterruptWatcher,
        is_segment_over: Callable[[], bool],
        default_problem: inbox.DefaultProblem,
    ) -> None:
        """`is_segment_over` returns True when the attempt must release the worker's slot."""
        self.state = RunState(snapshot)
        self.record = record
        self.live_updates = live_updates
        self.interrupts = interrupts
        self.failure: Failure | None = None
        self._is_segment_over = is_segment_over
        self._default_problem = default_problem
        self._is_cancelled = False
        self.is_pause_requested = snapshot.is_pause_requested
        self._writing = asyncio.Lock()
        self._has_failed_write = False
        self._time_limit = self._limit(snapshot)
        interrupts.has_unread |= snapshot.has_unread

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _limit(self, snapshot: Snapshot) -> float | None:
        """The event loop's time at which the current work is interrupted."""
        left = []
        if (seconds := snapshot.limits.timeout_seconds) is not None:
            left.append(seconds - snapshot.running_ms / 1000)
        if (deadline := snapshot.limits.deadline_at) is not None:
            left.append((deadline - datetime.now(UTC)).total_seconds())
        return self._now() + max(min(left), 0) if left else None

    # --- ending -------------------------------------------------------------------------------

    def end_reason(self) -> Stop | None:
        """Why the execution ends now, or None."""
        if self._is_cancelled:
            return Stop(Outcome.CANCELLED)
        self.failure = self.failure or self._time_failure()
        return None if self.failure is None else Stop(Outcome.FAILED, failure=self.failure)

    def _time_failure(self) -> Failure | None:
        limits = self.state.snapshot.limits
        if self._time_limit is None or self._now() < self._time_limit:
            return None
        # There are two clocks: a deadline may interrupt work a moment before wall time reaches it.
        is_due = limits.deadline_at is not None and datetime.now(UTC) >= limits.deadline_at
        if is_due or limits.timeout_seconds is None:
            return Failure(ErrorCode.DEADLINE_PASSED, "The deadline has passed.")
        return Failure(ErrorCode.TIMEOUT, f"The limit of {limits.timeout_seconds:g} s is reached.")

    async def record_end(self) -> Stop | None:
        """Return `end_reason`; record its failure if it has one."""
        stop = self.end_reason()
        if stop is not None and stop.failure is not None:
            await self.write(Step(failure=stop.failure, events=self._failure_events(stop.failure)))
        return stop

    def _failure_events(self, failure: Failure) -> Sequence[Event]:
        if failure.code is not ErrorCode.BUDGET_EXHAUSTED:
            return ()
        return (events.budget_exceeded(self.state.cost_usd),)

    def must_pause(self) -> bool:
        """Whether a pause was requested and no recorded call is still to be made."""
        return self.is_pause_requested and self.state.intent is None

    def may_start_tool(self) -> bool:
        """Whether another tool may start: the worker keeps running, and no pause was requested."""
        return not (self.interrupts.draining.is_set() or self.is_pause_requested)

    def may_record_intent(self) -> bool:
        """Whether the next model call may be recorded now.

        False while signals are unread: they are read first, because one may be a pause.
        """
        return not (
            self.end_reason() is not None
            or self.is_pause_requested
            or self.interrupts.has_unread
            or self.must_hand_over()
        )

    def must_hand_over(self) -> bool:
        """Whether the segment is over, or the worker shuts down."""
        turns = self.state.snapshot.limits.segment_turns
        is_long = turns is not None and self.state.segment_turns >= turns
        return is_long or self.interrupts.draining.is_set() or self._is_segment_over()

    # --- writing ------------------------------------------------------------------------------

    async def write(self, step: Step) -> None:
        """Record a step. Steps are recorded in the order of the calls.

        When it is cancelled, it waits for a write that has started, so that the caller can rely on
        the step being recorded.

        Raises:
            FencedOutError: another attempt moves the execution.
        """
        await self._write_to_end(step, partial(self.record.write, step))

    async def write_intent(self, step: Step, *, reserve_usd: Decimal) -> Shortage | None:
        """Record a step with a call's intent as `write` does, or return why the call can't be made.

        The budgets of the execution's tree are checked and charged in the same transaction.
        """
        return await self._write_to_end(
            step, partial(self.record.write_intent, step, reserve_usd=reserve_usd)
        )

    async def _write_to_end(self, step: Step, write: Write) -> Shortage | None:
        # After an error the next write refuses.
        return await run_to_end(self._write(step, write))

    async def _write(self, step: Step, write: Write) -> Shortage | None:
        async with self._writing:
            if self._has_failed_write:
                # The state in memory is ahead of the record, so tools that end later must not
                # build on it. The next attempt reads the record.
                raise RuntimeError("an earlier step was not written")
            self._has_failed_write = True
            receipt = await write()
            self._has_failed_write = False
        if isinstance(receipt, Shortage):
            return receipt
        if step.makes_progress:
            self.state.stalled_attempts = 0
        if step.status is not None:
            self.state.status, self.state.reason = step.status.status, step.status.reason
        if step.call_outcome is not None and step.call_outcome.cost_usd is not None:
            self.state.cost_usd += step.call_outcome.cost_usd
        if step.workspace is not None and step.workspace.is_saved:
            self.state.workspace = replace(self.state.workspace, snapshot=step.workspace.sha256)
        self.interrupts.has_unread |= receipt.unread > self.state.kept_signals
        is_settled = step.status is not None and step.status.status in SETTLED_STATUSES
        self.live_updates.publish_step(receipt.event_seq, is_settled=is_settled)
        return None

    async def move_to(self, change: StatusChange) -> None:
        """Record a status unless it is the current one."""
        if (change.status, change.reason) != (self.state.status, self.state.reason):
            await self.write(Step(status=change, events=[events.status_changed(change)]))

    def with_running_status(self, step: Step) -> Step:
        """The step, preceded by the move to running if the execution was waiting."""
        if self.state.status is ExecutionStatus.RUNNING and self.state.reason is None:
            return step
        change = StatusChange(ExecutionStatus.RUNNING)
        return Step(status=change, events=[events.status_changed(change)]) + step

    async def stop_to_wait(self) -> Stop:
        """Record what the execution waits for, and stop."""
        change, stop = self.state.describe_wait()
        await self.move_to(change)
        return stop

    async def pause(self) -> Stop:
        """Record the pause, and stop until a resume, a cancel or the deadline."""
        await self.move_to(StatusChange(ExecutionStatus.PAUSED))
        return Stop(Outcome.PAUSED, wakes_at=self.state.snapshot.limits.deadline_at)

    async def record_interrupted_call(self) -> None:
        """Record that the model call was interrupted; if it was sent, it costs its estimate."""
        if (step := self._stop_model_call()) != Step():
            await self.write(step)

    def _stop_model_call(self) -> Step:
        """End the recorded model call, if there is one. If it was not sent, it costs nothing."""
        if (intent := self.state.intent) is None:
            return Step()
        self.state.intent = None
        is_sent = self.state.is_call_sent
        outcome = CallOutcome(
            id=intent.id,
            status=CallStatus.CANCELLED,
            cost_usd=intent.estimate_usd if is_sent else None,
            usage_estimated=is_sent,
        )
        return Step(call_outcome=outcome)

    # --- reading signals ----------------------------------------------------------------------

    async def read_inbox(self, close_turn: Callable[[], Step]) -> bool:
        """Apply unread signals; return whether they have stopped the calls of the turn.

        If they have settled the last call, `close_turn` ends the turn in the same step. A cancel
        stays unread: `finish` consumes it.
        """
        self.interrupts.has_unread = False
        unread = await self.record.poll_signals()
        if inbox.is_cancelled(unread):
            self._is_cancelled = True
            return False
        self.is_pause_requested = unread.is_pause_requested
        step = inbox.apply(self.state, unread)
        is_interrupted = inbox.is_interrupted(unread)
        if is_interrupted:
            # A model call that is recorded would be made without the message.
            step += inbox.stop_calls(self.state, unread) + self._stop_model_call()
        must_finish = inbox.must_finish(unread) and not self.state.is_finishing
        if must_finish:
            step += inbox.stop_work(self.state, unread.children)
        must_stop = must_finish or is_interrupted
        self.failure = step.failure or self.failure
        if step != Step():
            if self.state.is_turn_settled and not must_stop and self._may_continue():
                step = self.with_running_status(step + close_turn())
            await self.write(step)
        return must_stop

    def _may_continue(self) -> bool:
        """Whether nothing but the model's next answer is needed now."""
        is_ending = self.state.must_finish_early or self.end_reason() is not None
        return not (is_ending or self.must_pause() or self.must_hand_over())

    async def apply_expiries(self) -> None:
        """Apply the rules of requests that are past due."""
        step = await inbox.apply_expiries(
            self.state, datetime.now(UTC), default_problem=self._default_problem
        )
        if step is not None:
            self.failure = step.failure or self.failure
            await self.write(step)

    async def _must_stop(self, *, by_messages: bool) -> bool:
        """Poll for a cancel, or a message that interrupts.

        A pause does not interrupt the current work, but starts no more.
        """
        unread = await self.record.poll_signals()
        self._is_cancelled = inbox.is_cancelled(unread)
        self.is_pause_requested = unread.is_pause_requested
        return self._is_cancelled or (by_messages and inbox.is_interrupted(unread))

    @asynccontextmanager
    async def interruptible(self, *, by_messages: bool = True) -> AsyncIterator[None]:
        """Run the block until it ends.

        Raises:
            WorkInterruptedError: the time limit was reached, or a person cancelled or, with
                `by_messages`, interrupted the execution. `read_inbox` consumes the interruption.
        """
        must_stop = partial(self._must_stop, by_messages=by_messages)
        async with self.interrupts.interruptible(until=self._time_limit, must_stop=must_stop):
            yield
