"""The loop: moves an execution from its record to the next reason to stop, one step at a time."""

from collections.abc import Callable

from agent.attempt import Attempt
from agent.decisions import Decider
from agent.interrupts import InterruptWatcher, WorkInterruptedError
from agent.model_turn import ModelTurn
from agent.ports import LoopPorts
from agent.state import RunState
from agent.tool_pinning import pin_tools
from agent.tool_turn import ToolTurn
from domain.errors import ErrorCode
from domain.executions.outcomes import Outcome, Stop
from domain.executions.steps import Failure, Snapshot

ENDED_EARLY = frozenset({Outcome.CANCELLED, Outcome.FAILED})

MAX_STALLED_ATTEMPTS = 5
"""Attempts without a new step before the execution fails (chosen)."""


class Loop:
    """Moves one execution forward for one attempt. `run` is called once."""

    def __init__(
        self, ports: LoopPorts, *, interrupts: InterruptWatcher, is_segment_over: Callable[[], bool]
    ) -> None:
        """`is_segment_over` returns True when the attempt must release the worker's slot."""
        self._ports = ports
        self._interrupts = interrupts
        self._is_segment_over = is_segment_over
        self.state: RunState | None = None
        """The attempt's state once it has begun; for heartbeats."""

    async def run(self) -> Stop:
        """Run until the execution ends or something outside is needed.

        Raises:
            FencedOutError: another attempt moves the execution.
            Exception: an error from a port; the next attempt continues from the record.
        """
        # First, because an attempt that dies here has had no chance to make progress and must not
        # be recorded as a stalled one.
        await self._ports.model.ready()
        snapshot = await self._ports.record.begin()
        attempt, tools, model = self._parts(snapshot)
        self.state = attempt.state
        attempt.failure = snapshot.failure or _start_problem(snapshot, attempt.state)
        if not snapshot.prefix.is_pinned:
            pinned = await pin_tools(attempt, self._ports.remote)
            if isinstance(pinned, Stop):
                return pinned
            attempt, tools, model = self._parts(pinned)
            self.state = attempt.state
        attempt.failure = attempt.failure or await tools.recover()
        while True:
            try:
                stop = await self._advance(attempt, tools, model)
            except WorkInterruptedError:
                await attempt.record_interrupted_call()
                await tools.record_interrupted_calls()
                continue
            if stop is not None:
                if stop.outcome in ENDED_EARLY:
                    await tools.cancel_remote(is_ending=True)
                return stop

    def _parts(self, snapshot: Snapshot) -> tuple[Attempt, ToolTurn, ModelTurn]:
        ports = self._ports
        decider = Decider(snapshot, ports.tools, ports.schemas, ports.record)
        attempt = Attempt(
            snapshot,
            record=ports.record,
            live_updates=ports.live_updates,
            interrupts=self._interrupts,
            is_segment_over=self._is_segment_over,
            default_problem=decider.default_problem,
        )
        tools = ToolTurn(
            attempt, tools=ports.tools, remote=ports.remote, store=ports.store, decider=decider
        )
        model = ModelTurn(
            attempt,
            model=ports.model,
            prices=ports.prices,
            tools=tools,
            decider=decider,
            schemas=ports.schemas,
        )
        tools.close_turn = model.close_tool_turn
        return attempt, tools, model

    async def _advance(self, attempt: Attempt, tools: ToolTurn, model: ModelTurn) -> Stop | None:
        """Make one move; returns why to stop, or None."""
        if attempt.failure is None:
            if attempt.interrupts.has_unread and await attempt.read_inbox(model.close_tool_turn):
                await tools.cancel_remote()
            if not attempt.is_pause_requested:
                await attempt.apply_expiries()
        if (stop := await attempt.record_end()) is not None:
            return stop
        if attempt.state.has_final_answer or attempt.state.must_finish_early:
            return await model.conclude()
        if attempt.must_pause():
            return await attempt.pause()
        if attempt.must_hand_over():
            return Stop(Outcome.HANDED_OVER)
        if attempt.state.calls:
            return await tools.run()
        return await (attempt.stop_to_wait() if attempt.state.execution_request() else model.call())


def _start_problem(snapshot: Snapshot, state: RunState) -> Failure | None:
    """Why this attempt can't continue from the record, or None."""
    if snapshot.stalled_attempts >= MAX_STALLED_ATTEMPTS:
        return Failure(
            ErrorCode.WORKER_ERROR,
            f"{snapshot.stalled_attempts} attempts made no progress; see the worker's log.",
        )
    lost = snapshot.lost_intent_sha256
    if lost is not None and lost != state.transcript.fingerprint():
        return Failure(
            ErrorCode.WORKER_ERROR,
            "The interrupted model call can't be repeated exactly as it was recorded.",
        )
    return None
