"""`call_claude`: one attempt of the loop, with its heartbeat, its ear, its share of the worker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from uuid import UUID

from temporalio import activity

from activities.live_updates import ExecutionLiveUpdates, LiveWatchers
from agent.interrupts import InterruptWatcher
from agent.loop import Loop
from agent.ports import Model, Prices, Store, Tools
from contracts import policies
from contracts.execution import CallClaudeResult, RunRef
from domain.errors import ExecutionTerminalError
from domain.outcomes import Outcome, Stop
from persistence.db.database import Database
from persistence.executions.fencing import RunIdentity
from persistence.executions.step_log import ExecutionRecord


def identity(run: RunRef) -> RunIdentity:
    """The run that the current activity works for."""
    info = activity.info()
    return RunIdentity(
        workflow_id=info.workflow_id or "",
        run_id=info.workflow_run_id or "",
        segment=run.segment,
        attempt=info.attempt,
        last_message_seq=run.last_message_seq,
        is_reset=run.is_reset,
    )


class InterruptWatchers:
    """The executions this worker moves right now, so that a ring of the bell finds its loop."""

    def __init__(self, slots: int) -> None:
        """`slots` is how many executions the worker moves at a time."""
        self._slots = slots
        self._present: dict[str, InterruptWatcher] = {}

    @property
    def is_full(self) -> bool:
        """Whether others wait for a slot, as far as this worker can tell."""
        return len(self._present) >= self._slots

    @contextmanager
    def open(self, execution_id: UUID) -> Iterator[InterruptWatcher]:
        """An ear for one execution while the block runs."""
        interrupts = self._present[str(execution_id)] = InterruptWatcher()
        try:
            yield interrupts
        finally:
            if self._present.get(str(execution_id)) is interrupts:
                del self._present[str(execution_id)]

    def wake(self, execution_id: str) -> None:
        """There is something unread (a `BELL` notification)."""
        if (interrupts := self._present.get(execution_id)) is not None:
            interrupts.wake()

    def wake_all(self) -> None:
        """Notifications may have been lost: everybody looks."""
        for interrupts in self._present.values():
            interrupts.wake()


class Segment:
    """The share of the worker one call gets: short when others wait."""

    def __init__(self, interrupt_watchers: InterruptWatchers) -> None:
        """Begins now."""
        self._attentions = interrupt_watchers
        self._began = asyncio.get_running_loop().time()

    def __call__(self) -> bool:
        """Whether it is over."""
        limit = policies.SEGMENT_WHEN_FULL if self._attentions.is_full else policies.SEGMENT
        return asyncio.get_running_loop().time() - self._began >= limit.total_seconds()


@dataclass(frozen=True, slots=True)
class ExecutionRunner:
    """What every `call_claude` of a worker shares."""

    database: Database
    host_id: UUID
    model: Model
    tools: Tools
    store: Store
    prices: Prices
    watchers: LiveWatchers
    interrupt_watchers: InterruptWatchers
    drain_seconds: float

    async def call(self, run: RunRef) -> CallClaudeResult:
        """Move the execution forward until something outside is needed."""
        who = identity(run)
        record = ExecutionRecord(self.database, run.execution_id, who, host_id=self.host_id)
        with self.interrupt_watchers.open(run.execution_id) as interrupts:
            loop = Loop(
                record=record,
                model=self.model,
                tools=self.tools,
                store=self.store,
                prices=self.prices,
                live_updates=ExecutionLiveUpdates(run.execution_id, self.watchers),
                interrupts=interrupts,
                is_segment_over=Segment(self.interrupt_watchers),
            )
            async with _beating(loop), _draining(interrupts, self.drain_seconds):
                try:
                    stop = await loop.run()
                except ExecutionTerminalError:
                    # It ended behind the workflow's back; `finish` reports what is written.
                    return CallClaudeResult(
                        outcome=Outcome.CANCELLED, last_message_seq=run.last_message_seq
                    )
        return _result(loop, stop)


def _result(loop: Loop, stop: Stop) -> CallClaudeResult:
    state = loop.state
    if state is None:
        raise RuntimeError("the loop ended before it began")
    return CallClaudeResult(
        outcome=stop.outcome,
        last_message_seq=state.transcript.next_seq - 1,
        error_code=stop.failure and stop.failure.code,
        children=stop.children,
        wakes_at=stop.wakes_at,
        turns=state.turn,
        cost_usd=state.cost_usd,
        wants_report=bool(state.snapshot.definition.get("generate_report")),
    )


@asynccontextmanager
async def _beating(loop: Loop) -> AsyncIterator[None]:
    """Beat while the block runs, with progress and no content."""

    async def beat() -> None:
        while True:
            # A call that is over sooner needs no beat, which would be a request of its own.
            await asyncio.sleep(policies.HEARTBEAT_EVERY.total_seconds())
            state = loop.state
            if state is None:
                activity.heartbeat()
            else:
                activity.heartbeat(
                    {"turn": state.turn, "tool": state.tool, "cost_usd": float(state.cost_usd)}
                )

    beating = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        beating.cancel()


@asynccontextmanager
async def _draining(interrupts: InterruptWatcher, drain_seconds: float) -> AsyncIterator[None]:
    """Tell the loop when the worker shuts down, and cut it when its time to drain is over."""

    async def drain() -> None:
        await activity.wait_for_worker_shutdown()
        interrupts.drain()
        await asyncio.sleep(drain_seconds)
        interrupts.interrupt()

    waiting = asyncio.ensure_future(drain())
    try:
        yield
    finally:
        waiting.cancel()
