"""The loop: from where the record stands to the next reason to stop, a recorded step at a time."""

from collections.abc import Callable

from agent.attempt import Attempt
from agent.attention import Attention, CutShortError
from agent.decisions import Decider
from agent.model_turn import ModelTurn
from agent.ports import Audience, Model, Prices, Record, Store, Tools
from agent.state import RunState
from agent.tool_turn import ToolTurn
from domain.errors import ErrorCode
from domain.outcomes import Outcome, Stop
from domain.steps import Failure, Snapshot

MAX_STALLED_ATTEMPTS = 5
"""Attempts without a new step before the execution fails (design.md, section 5)."""


class Loop:
    """Moves one execution forward for one attempt. `run` is called once."""

    def __init__(
        self,
        *,
        record: Record,
        model: Model,
        tools: Tools,
        store: Store,
        prices: Prices,
        audience: Audience,
        attention: Attention,
        is_segment_over: Callable[[], bool],
    ) -> None:
        """All ports; `is_segment_over` says when to give the worker's slot back."""
        self._record = record
        self._model = model
        self._tools = tools
        self._store = store
        self._prices = prices
        self._audience = audience
        self._attention = attention
        self._is_segment_over = is_segment_over
        self.state: RunState | None = None
        """What the attempt knows, once it has begun; for progress reports."""

    async def run(self) -> Stop:
        """Go on until something outside is needed.

        Raises:
            FencedOutError: another attempt moves the execution.
            Exception: whatever the ports raise; the next attempt continues from the record.
        """
        # Before the attempt is on record: one that dies meanwhile came no step further either, and
        # must not count as one that could have.
        await self._model.ready()
        snapshot = await self._record.begin()
        attempt, tools, model = self._parts(snapshot)
        self.state = attempt.state
        attempt.failure = (
            snapshot.failure or _unable(snapshot, attempt.state) or await tools.recover()
        )
        while True:
            try:
                stop = await self._advance(attempt, tools, model)
            except CutShortError:
                await attempt.call_cut()
                await tools.cut_short()
                continue
            if stop is not None:
                return stop

    def _parts(self, snapshot: Snapshot) -> tuple[Attempt, ToolTurn, ModelTurn]:
        attempt = Attempt(
            snapshot,
            record=self._record,
            audience=self._audience,
            attention=self._attention,
            is_segment_over=self._is_segment_over,
        )
        decider = Decider(snapshot, self._tools)
        tools = ToolTurn(attempt, tools=self._tools, store=self._store, decider=decider)
        model = ModelTurn(
            attempt, model=self._model, prices=self._prices, tools=tools, decider=decider
        )
        tools.close = model.close_tools
        return attempt, tools, model

    async def _advance(self, attempt: Attempt, tools: ToolTurn, model: ModelTurn) -> Stop | None:
        """One move, or why to stop."""
        if attempt.failure is None:
            if attempt.attention.rang:
                await attempt.listen()
            if not attempt.is_pausing:
                await attempt.expire()
        if (stop := await attempt.ended()) is not None:
            return stop
        if attempt.state.is_answered:
            return await model.conclude()
        if attempt.must_stand_still():
            return await attempt.pause()
        if attempt.must_hand_over():
            return Stop(Outcome.HANDED_OVER)
        if attempt.state.calls:
            return await tools.move()
        return await (attempt.park() if attempt.state.gate() else model.call())


def _unable(snapshot: Snapshot, state: RunState) -> Failure | None:
    """Why this attempt can't go on from where the record stands, or None."""
    if snapshot.stalled_attempts >= MAX_STALLED_ATTEMPTS:
        return Failure(
            ErrorCode.WORKER_ERROR,
            f"{snapshot.stalled_attempts} attempts ended without a step; see the worker's log.",
        )
    lost = snapshot.lost_intent_sha256
    if lost is not None and lost != state.transcript.fingerprint():
        return Failure(
            ErrorCode.WORKER_ERROR,
            "The call that was cut short can't be repeated as it was recorded.",
        )
    return None
