"""One attempt at an execution: the record as this attempt knows it, and what bounds the attempt."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from agent import hearing, story
from agent.attention import Attention
from agent.ports import Audience, Record
from agent.state import RunState
from domain.errors import ErrorCode
from domain.events import Event
from domain.outcomes import Outcome, Stop
from domain.states import ExecutionStatus
from domain.steps import CallOutcome, CallStatus, Failure, Snapshot, StatusChange, Step

NEEDS_A_PERSON = (ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.PAUSED)
"""States that nothing but a person ends."""


class Attempt:
    """Writes steps, listens, and knows when to end. Shared by the parts of one loop."""

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        record: Record,
        audience: Audience,
        attention: Attention,
        is_segment_over: Callable[[], bool],
    ) -> None:
        """`is_segment_over` says when to give the worker's slot back."""
        self.state = RunState(snapshot)
        self.record = record
        self.audience = audience
        self.attention = attention
        self.failure: Failure | None = None
        self._is_segment_over = is_segment_over
        self._is_cancelled = False
        self.is_pausing = snapshot.is_pause_wanted
        self._writing = asyncio.Lock()
        self._is_behind = False
        self._time_limit = self._limit(snapshot)
        attention.rang |= snapshot.has_unread

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _limit(self, snapshot: Snapshot) -> float | None:
        """The event loop's time at which the work in hand is cut."""
        left = []
        if (seconds := snapshot.limits.timeout_seconds) is not None:
            left.append(seconds - snapshot.running_ms / 1000)
        if (deadline := snapshot.limits.deadline_at) is not None:
            left.append((deadline - datetime.now(UTC)).total_seconds())
        return self._now() + max(min(left), 0) if left else None

    # --- ending -------------------------------------------------------------------------------

    def end(self) -> Stop | None:
        """Why the execution ends here, if it does."""
        if self._is_cancelled:
            return Stop(Outcome.CANCELLED)
        self.failure = self.failure or self._time_failure()
        return None if self.failure is None else Stop(Outcome.FAILED, failure=self.failure)

    def _time_failure(self) -> Failure | None:
        limits = self.state.snapshot.limits
        if self._time_limit is None or self._now() < self._time_limit:
            return None
        # Two clocks: a deadline that ends the work in hand may lie a moment ahead of the other one.
        is_due = limits.deadline_at is not None and datetime.now(UTC) >= limits.deadline_at
        if is_due or limits.timeout_seconds is None:
            return Failure(ErrorCode.DEADLINE_PASSED, "The deadline has passed.")
        return Failure(ErrorCode.TIMEOUT, f"The limit of {limits.timeout_seconds:g} s is reached.")

    async def ended(self) -> Stop | None:
        """The end, with its failure on record, or None."""
        stop = self.end()
        if stop is not None and stop.failure is not None:
            await self.write(Step(failure=stop.failure, events=self._failure_events(stop.failure)))
        return stop

    def _failure_events(self, failure: Failure) -> Sequence[Event]:
        if failure.code is not ErrorCode.BUDGET_EXHAUSTED:
            return ()
        return (Event("budget.exceeded", {"cost_usd": float(self.state.cost_usd)}),)

    def must_stand_still(self) -> bool:
        """Whether it is paused, with no call on record that is yet to be made."""
        return self.is_pausing and self.state.intent is None

    def may_begin(self) -> bool:
        """Whether another tool may begin: the worker stays, and nobody has paused the execution."""
        return not (self.attention.draining.is_set() or self.is_pausing)

    def may_intend(self) -> bool:
        """Whether the next model call may be put on record already.

        Not where something was said meanwhile: it is heard first, since it may be a pause.
        """
        return not (
            self.end() is not None
            or self.is_pausing
            or self.attention.rang
            or self.must_hand_over()
        )

    def must_hand_over(self) -> bool:
        """Whether the segment is over, or the worker shuts down."""
        turns = self.state.snapshot.limits.segment_turns
        is_long = turns is not None and self.state.segment_turns >= turns
        return is_long or self.attention.draining.is_set() or self._is_segment_over()

    # --- writing ------------------------------------------------------------------------------

    async def write(self, step: Step) -> None:
        """Put a step on record, in the order of the calls. Raises `FencedOutError`.

        A cut waits for a write that is under way: else nobody would know whether it was made.
        """
        writing = asyncio.ensure_future(self._write(step))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])
            writing.exception()  # seen: if there is one, the next write refuses
            raise

    async def _write(self, step: Step) -> None:
        async with self._writing:
            if self._is_behind:
                # What is in memory was not all written; tools that end meanwhile must not build
                # on it. The next attempt reads what is there.
                raise RuntimeError("a step before this one was not written")
            self._is_behind = True
            receipt = await self.record.write(step)
            self._is_behind = False
        if step.status is not None:
            self.state.status, self.state.reason = step.status.status, step.status.reason
        if step.call_outcome is not None and step.call_outcome.cost_usd is not None:
            self.state.cost_usd += step.call_outcome.cost_usd
        self.attention.rang |= receipt.unread > len(self.state.steering)
        is_settled = step.status is not None and step.status.status in NEEDS_A_PERSON
        self.audience.stepped(receipt.event_seq, is_settled=is_settled)

    async def move_to(self, change: StatusChange) -> None:
        """Put a status on record unless it is the present one."""
        if (change.status, change.reason) != (self.state.status, self.state.reason):
            await self.write(Step(status=change, events=[story.status_changed(change)]))

    def running(self, step: Step) -> Step:
        """The step, moving an execution that waited back to running."""
        if self.state.status is ExecutionStatus.RUNNING and self.state.reason is None:
            return step
        change = StatusChange(ExecutionStatus.RUNNING)
        return Step(status=change, events=[story.status_changed(change)]) + step

    async def park(self) -> Stop:
        """Put on record what the execution waits for, and stop there."""
        change, stop = self.state.waiting_stop()
        await self.move_to(change)
        return stop

    async def pause(self) -> Stop:
        """Stand still until somebody resumes it, cancels it, or its deadline passes."""
        await self.move_to(StatusChange(ExecutionStatus.PAUSED))
        return Stop(Outcome.PAUSED, wakes_at=self.state.snapshot.limits.deadline_at)

    async def call_cut(self) -> None:
        """Put on record that the call in hand was cut; it is charged at its estimate."""
        if (intent := self.state.intent) is None:
            return
        self.state.intent = None
        outcome = CallOutcome(
            id=intent.id,
            status=CallStatus.CANCELLED,
            cost_usd=intent.estimate_usd,
            usage_estimated=True,
        )
        await self.write(Step(call_outcome=outcome))

    # --- listening ----------------------------------------------------------------------------

    async def listen(self) -> None:
        """Take in what was said. A cancel stays unread: `finish` consumes it."""
        self.attention.rang = False
        heard = await self.record.hear()
        if hearing.wants_end(heard):
            self._is_cancelled = True
            return
        self.is_pausing = heard.is_pause_wanted
        step = hearing.apply(self.state, heard)
        self.failure = step.failure or self.failure
        if step != Step():
            await self.write(step)

    async def expire(self) -> None:
        """Apply the rules of requests that are past due."""
        step = hearing.expire(self.state, datetime.now(UTC))
        if step is not None:
            self.failure = step.failure or self.failure
            await self.write(step)

    async def _must_end(self) -> bool:
        """Whether somebody cancelled. A pause lets the work in hand end, and no more begin."""
        heard = await self.record.hear()
        self._is_cancelled = hearing.wants_end(heard)
        self.is_pausing = heard.is_pause_wanted
        return self._is_cancelled

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        """Do the block to its end. Raises `CutShortError` when time is up or somebody cancels."""
        async with self.attention.attending(until=self._time_limit, look=self._must_end):
            yield
