"""The model's turn: the intent before a call, the call, and what its answer leads to."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from agent import requests, story
from agent.attempt import Attempt
from agent.calling import AskPeople, TryAgain, after_failure, make_intent
from agent.decisions import Decider
from agent.ports import Model, Prices
from agent.results import result_of
from agent.stop_reasons import Next, Reaction, react
from agent.tool_turn import ToolTurn
from agent.transcript import text_block, tool_uses
from domain.errors import ErrorCode, FencedOutError, ModelCallError
from domain.model_calls import Block, ModelResponse
from domain.outcomes import Outcome, Stop
from domain.states import ExecutionStatus
from domain.steps import CallIntent, CallOutcome, CallStatus, Failure, StatusChange, Step


class ModelTurn:
    """Makes the calls of one attempt."""

    def __init__(
        self, attempt: Attempt, *, model: Model, prices: Prices, tools: ToolTurn, decider: Decider
    ) -> None:
        """`tools` puts the calls an answer asks for on record."""
        self._attempt = attempt
        self._state = attempt.state
        self._model = model
        self._prices = prices
        self._tools = tools
        self._decider = decider

    # --- before the call ----------------------------------------------------------------------

    async def call(self) -> Stop | None:
        """Make one call, its intent on record before it and its outcome after it."""
        if self._state.intent is None:
            await self._intend()
        intent = self._state.intent
        if intent is None:
            return None
        try:
            async with self._attempt.attending():
                response = await self._model.call(
                    self._state.transcript.request(self._state.snapshot.prefix),
                    on_text=lambda delta: self._attempt.audience.text(intent.turn, delta),
                )
        except ModelCallError as error:
            return await self._failed(intent, error)
        await self._answered(intent, response)
        return None

    async def _intend(self) -> None:
        """Write the next call's intent by itself, with the user message that waits for it."""
        step = self.with_intent(self.say(()) if self._state.steering else Step())
        if step != Step():
            await self._attempt.write(self._attempt.running(step))

    def with_intent(self, step: Step) -> Step:
        """The step with the next call's intent, unless something forbids the call."""
        if not self._attempt.may_intend():
            return step
        made = make_intent(self._state, self._prices)
        if isinstance(made, Failure):
            self._attempt.failure = made
            return step
        self._state.intent = made
        self._state.turn, self._state.tries = made.turn, made.try_number
        return step + Step(call_intent=made, events=[story.turn_started(made)])

    def say(self, blocks: Sequence[Block]) -> Step:
        """A user message: these blocks first, then what people said meanwhile."""
        said = [text_block(str(s.payload.get("content", ""))) for s in self._state.steering]
        consumed = [s.id for s in self._state.steering]
        self._state.steering.clear()
        return self._append("user", [*blocks, *said]) + Step(consumed=consumed)

    def _append(self, role: str, blocks: Sequence[Block], **facts: object) -> Step:
        message = self._state.transcript.compose(role, blocks, **facts)
        self._state.transcript.took(message, self._state.snapshot.execution_id)
        return Step(messages=[message], events=[story.message_appended(message)])

    def close_tools(self) -> Step:
        """The end of a tool turn: one message with all results, and the next call."""
        said = self.say(self._state.results())
        self._state.calls.clear()
        return self.with_intent(said)

    # --- a call that failed -------------------------------------------------------------------

    async def _failed(self, intent: CallIntent, error: ModelCallError) -> Stop | None:
        self._state.intent = None
        self._state.failures_in_a_row += 1
        may_ask = self._state.snapshot.people.mode == "wait"
        following = after_failure(error, self._state.failures_in_a_row, may_ask=may_ask)
        delay = following.delay_seconds if isinstance(following, TryAgain) else None
        outcome = CallOutcome(
            id=intent.id,
            status=CallStatus.FAILED,
            error_kind=error.kind,
            error_message=error.detail,
            http_status=error.http_status,
            request_id=error.request_id,
        )
        step = Step(call_outcome=outcome, events=[story.turn_failed(intent, outcome, delay)])
        match following:
            case Failure():
                self._attempt.failure = following
                await self._attempt.write(step)
                return None
            case AskPeople():
                return await self._ask_about_spend(step, error)
            case TryAgain():
                return await self._retry(step, following, reason=str(error.kind))

    async def _ask_about_spend(self, step: Step, error: ModelCallError) -> Stop:
        request = requests.spend_limit(error.detail, self._state.snapshot.people, datetime.now(UTC))
        self._state.requests[request.id] = requests.opened(request)
        self._state.failures_in_a_row = 0
        await self._attempt.write(
            step + Step(requests=[request], events=[story.input_requested(request)])
        )
        return await self._attempt.park()

    async def _retry(self, step: Step, again: TryAgain, *, reason: str) -> Stop | None:
        """Wait here for a short delay, outside the worker for a long one."""
        if not again.is_long:
            await self._attempt.write(step)
            await self._pause(again.delay_seconds)
            return None
        wakes_at = self._state.within_deadline(again.at(datetime.now(UTC)))
        change = StatusChange(ExecutionStatus.RUNNING, reason=reason, wakes_at=wakes_at)
        await self._attempt.write(step + Step(status=change, events=[story.status_changed(change)]))
        return Stop(Outcome.WAITS, wakes_at=wakes_at)

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless the worker shuts down, time is up or somebody cancels."""
        async with self._attempt.attending():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._attempt.attention.draining.wait(), seconds)

    # --- a call that was answered -------------------------------------------------------------

    async def _answered(self, intent: CallIntent, response: ModelResponse) -> None:
        outcome = CallOutcome(
            id=intent.id,
            status=CallStatus.SUCCEEDED,
            usage=response.usage,
            cost_usd=self._prices.price(intent.model, response),
            stop_reason=response.stop_reason,
            stop_details=response.stop_details,
            request_id=response.request_id,
            first_token_ms=response.first_token_ms,
        )
        self._state.intent = None
        self._state.tries = self._state.failures_in_a_row = 0
        self._state.segment_turns += 1
        step = await self._after_answer(response, outcome)
        completed = Step(
            call_outcome=outcome, events=[story.turn_completed(intent, response, outcome)]
        )
        try:
            await self._attempt.write(completed + step)
        except FencedOutError:
            # What a call cost is recorded whoever made it; the answer itself is not ours to keep.
            await self._attempt.record.settle(outcome)
            raise

    async def _after_answer(self, response: ModelResponse, outcome: CallOutcome) -> Step:
        continuations = self._state.transcript.continuations
        step = self._append(
            "assistant",
            response.content,
            model=response.model,
            stop_reason=response.stop_reason,
            usage=response.usage,
            cost_usd=outcome.cost_usd,
            request_id=response.request_id,
        )
        reaction = react(response.stop_reason, response.content, continuations=continuations)
        return step + await self._react(reaction, response)

    async def _react(self, reaction: Reaction, response: ModelResponse) -> Step:
        match reaction.next:
            case Next.RUN_TOOLS:
                return await self._open_tools(response)
            case Next.CALL_AGAIN:
                return self.with_intent(self.say(reaction.say) if reaction.say else Step())
            case Next.FAIL:
                self._attempt.failure = reaction.failure
                return Step()
            case Next.DONE:
                return self.result()

    async def _open_tools(self, response: ModelResponse) -> Step:
        decided = self._decider.decide(
            tool_uses(response.content),
            turn=self._state.turn,
            malformed=response.malformed_inputs,
            now=datetime.now(UTC),
        )
        step = await self._tools.open(decided)
        return step + self.close_tools() if self._state.is_turn_settled else step

    def result(self) -> Step:
        """What the execution came to, as a step; a result of the wrong shape is a failure."""
        options = self._state.snapshot.definition.get("sdk_options", {})
        result = result_of(self._state.transcript.last_blocks, options.get("output_schema"))
        if isinstance(result, Failure):
            self._attempt.failure = result
            return Step()
        return Step(result=result)

    # --- the model's last word ----------------------------------------------------------------

    async def conclude(self) -> Stop | None:
        """Go by the model's last word, read from the record: a crash may have come after it."""
        last, transcript = self._state.transcript.last, self._state.transcript
        before = max(transcript.continuations - 1, 0)
        stop_reason = last.stop_reason if last is not None else None
        reaction = react(stop_reason or "", transcript.last_blocks, continuations=before)
        if reaction.next is Next.CALL_AGAIN:
            return await self._go_on()
        if last is None or last.execution_id != self._state.snapshot.execution_id:
            self._attempt.failure = Failure(
                ErrorCode.INVALID_DEFINITION, "There is no prompt to answer."
            )
            return None
        self._attempt.failure = reaction.failure
        has_result = reaction.failure is None and self.result().result is not None
        return Stop(Outcome.DONE) if has_result else None

    async def _go_on(self) -> Stop | None:
        """Continue a turn that the model paused."""
        if self._attempt.must_stand_still():
            return await self._attempt.pause()
        if self._attempt.must_hand_over():
            return Stop(Outcome.HANDED_OVER)
        return await self.call()
