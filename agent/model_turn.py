"""A turn of the model: the recorded intent, the call, and the reaction to its answer."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from agent import budget_shortage, events, input_requests
from agent.attempt import Attempt
from agent.call_policy import AskPerson, Retry, choose_after_failure, make_intent
from agent.decisions import Decider, refuse_all
from agent.ports import Model, Prices
from agent.results import make_result
from agent.stop_reasons import Next, Reaction, choose_reaction
from agent.tool_turn import ToolTurn
from agent.transcript import join_text, text_block, tool_uses
from domain.errors import ErrorCode, FencedOutError, ModelCallError
from domain.executions.budgets import Shortage
from domain.executions.finishing import FINISH_REQUEST, MAX_REFUSED_TURNS, NOT_RUN
from domain.executions.outcomes import Outcome, Stop
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallIntent,
    CallOutcome,
    CallStatus,
    Failure,
    NewRequest,
    StatusChange,
    Step,
)
from domain.json_schemas import SchemaEvaluator
from domain.model.calls import Block, ModelResponse


class ModelTurn:
    """Makes the model calls of one attempt."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        model: Model,
        prices: Prices,
        tools: ToolTurn,
        decider: Decider,
        schemas: SchemaEvaluator,
    ) -> None:
        """`tools` records the tool calls of an answer."""
        self._attempt = attempt
        self._state = attempt.state
        self._model = model
        self._prices = prices
        self._tools = tools
        self._decider = decider
        self._schemas = schemas

    # --- before the call ----------------------------------------------------------------------

    async def call(self) -> Stop | None:
        """Make one call. Its intent is recorded before it and its outcome after it."""
        if self._state.intent is None and (stop := await self._record_intent()) is not None:
            return stop
        intent = self._state.intent
        if intent is None:
            return None
        try:
            async with self._attempt.interruptible():
                self._state.is_call_sent = True
                response = await self._model.call(
                    self._state.transcript.request(self._state.snapshot.prefix),
                    on_text=lambda delta: self._attempt.live_updates.publish_text(
                        intent.turn, delta
                    ),
                )
        except ModelCallError as error:
            return await self._record_failure(intent, error)
        await self._record_answer(intent, response)
        return None

    async def _record_intent(self) -> Stop | None:
        """Record the next call's intent in a step of its own, with the unsent messages."""
        step = self.with_intent(
            self.compose_user_message(()) if self._state.unsent_messages else Step()
        )
        if step != Step():
            await self._attempt.write(self._attempt.with_running_status(step))
        if self._state.snapshot.is_budgeted:
            return await self._reserve()
        return None

    def with_intent(self, step: Step) -> Step:
        """The step with the next call's intent added, unless the call is not allowed now.

        With a budget, the intent has a step of its own (`_reserve`).
        """
        if self._state.snapshot.is_budgeted or (intent := self._make_intent()) is None:
            return step
        self._begin(intent)
        return step + Step(call_intent=intent, events=[events.turn_started(intent)])

    def _make_intent(self) -> CallIntent | None:
        if self._state.must_finish_early or not self._attempt.may_record_intent():
            return None
        intent = make_intent(self._state, self._prices)
        if isinstance(intent, Failure):
            self._attempt.failure = intent
            return None
        return intent

    def _begin(self, intent: CallIntent) -> None:
        self._state.intent, self._state.is_call_sent = intent, False
        self._state.turn, self._state.tries = intent.turn, intent.try_number

    async def _reserve(self) -> Stop | None:
        """Record the next call's intent if the budgets have room for it; otherwise wait or fail."""
        intent = self._make_intent()
        if intent is None or intent.estimate_usd is None:
            return None
        begun = [events.turn_started(intent), events.budget_reserved(intent)]
        step = self._attempt.with_running_status(Step(call_intent=intent, events=begun))
        shortage = await self._attempt.write_intent(step, reserve_usd=intent.estimate_usd)
        if shortage is None:
            self._begin(intent)
            return None
        if shortage.is_temporary:
            wakes_at = self._state.limit_to_deadline(datetime.now(UTC) + budget_shortage.RECHECK)
            await self._attempt.move_to(budget_shortage.wait_for_reservations(wakes_at))
            return Stop(Outcome.WAIT_UNTIL, wakes_at=wakes_at)
        return await self._ask_for_budget(shortage)

    async def _ask_for_budget(self, shortage: Shortage) -> Stop | None:
        if self._state.is_finishing:
            self._state.must_finish_early = True
            return None
        snapshot = self._state.snapshot
        if snapshot.people.mode != "wait":
            self._attempt.failure = budget_shortage.make_failure(shortage, snapshot.execution_id)
            return None
        request = budget_shortage.make_request(
            shortage, snapshot.execution_id, snapshot.people, datetime.now(UTC)
        )
        exceeded = Step(events=[events.budget_exceeded(self._state.cost_usd)])
        return await self._ask(exceeded, request)

    async def _ask(self, step: Step, request: NewRequest) -> Stop:
        """Open a request about the execution as a whole, and wait for its answer."""
        self._state.requests[request.id] = input_requests.make_open_request(request)
        await self._attempt.write(
            step + Step(requests=[request], events=[events.input_requested(request)])
        )
        return await self._attempt.stop_to_wait()

    def compose_user_message(self, blocks: Sequence[Block]) -> Step:
        """Append a user message: these blocks first, then the unsent messages of people."""
        texts = [text_block(str(s.payload.get("content", ""))) for s in self._state.unsent_messages]
        consumed = [s.id for s in self._state.unsent_messages]
        self._state.unsent_messages.clear()
        return self._append("user", [*blocks, *texts]) + Step(consumed=consumed)

    def _append(self, role: str, blocks: Sequence[Block], **facts: object) -> Step:
        message = self._state.transcript.compose(role, blocks, **facts)
        self._state.transcript.append_new(message, self._state.snapshot.execution_id)
        return Step(messages=[message], events=[events.message_appended(message)])

    def close_tool_turn(self) -> Step:
        """End a tool turn: one message with all results, and the next call's intent."""
        results = self.compose_user_message(self._state.results())
        self._state.calls.clear()
        return self.with_intent(results)

    # --- a call that failed -------------------------------------------------------------------

    async def _record_failure(self, intent: CallIntent, error: ModelCallError) -> Stop | None:
        self._state.intent = None
        self._state.failures_in_a_row += 1
        may_ask = self._state.snapshot.people.mode == "wait" and not self._state.is_finishing
        next_move = choose_after_failure(error, self._state.failures_in_a_row, may_ask=may_ask)
        delay = next_move.delay_seconds if isinstance(next_move, Retry) else None
        outcome = CallOutcome(
            id=intent.id,
            status=CallStatus.FAILED,
            error_kind=error.kind,
            error_message=error.detail,
            http_status=error.http_status,
            request_id=error.request_id,
        )
        step = Step(call_outcome=outcome, events=[events.turn_failed(intent, outcome, delay)])
        match next_move:
            case Failure():
                self._attempt.failure = next_move
                await self._attempt.write(step)
                return None
            case AskPerson():
                return await self._ask_about_spend_limit(step, error)
            case Retry():
                return await self._retry(step, next_move, reason=str(error.kind))

    async def _ask_about_spend_limit(self, step: Step, error: ModelCallError) -> Stop:
        request = input_requests.spend_limit_request(
            error.detail, self._state.snapshot.people, datetime.now(UTC)
        )
        self._state.failures_in_a_row = 0
        self._state.spend_limit_failures += 1
        return await self._ask(step, request)

    async def _retry(self, step: Step, retry: Retry, *, reason: str) -> Stop | None:
        """Wait here for a short delay; stop and let the workflow wait for a long one."""
        if not retry.is_long:
            await self._attempt.write(step)
            await self._sleep(retry.delay_seconds)
            return None
        wakes_at = self._state.limit_to_deadline(retry.compute_time(datetime.now(UTC)))
        change = StatusChange(ExecutionStatus.RUNNING, reason=reason, wakes_at=wakes_at)
        await self._attempt.write(
            step + Step(status=change, events=[events.status_changed(change)])
        )
        return Stop(Outcome.WAIT_UNTIL, wakes_at=wakes_at)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the delay is over, or the worker shuts down.

        Raises:
            WorkInterruptedError: the time limit was reached, or the execution was cancelled.
        """
        async with self._attempt.interruptible():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._attempt.interrupts.draining.wait(), seconds)

    # --- a call that succeeded ----------------------------------------------------------------

    async def _record_answer(self, intent: CallIntent, response: ModelResponse) -> None:
        is_known = response.is_usage_complete
        price = self._prices.price(intent.model, response) if is_known else intent.estimate_usd
        outcome = CallOutcome(
            id=intent.id,
            status=CallStatus.SUCCEEDED,
            usage=response.usage,
            usage_estimated=not is_known,
            cost_usd=price,
            stop_reason=response.stop_reason,
            stop_details=response.stop_details,
            request_id=response.request_id,
            first_token_ms=response.first_token_ms,
        )
        self._state.intent = None
        self._state.tries = self._state.failures_in_a_row = 0
        self._state.segment_turns += 1
        step = await self._append_answer(response, outcome)
        completed = Step(
            call_outcome=outcome, events=[events.turn_completed(intent, response, outcome)]
        )
        try:
            await self._attempt.write(completed + step)
        except FencedOutError:
            # The cost is recorded whichever attempt made the call; the answer is discarded.
            await self._attempt.record.settle_cost(outcome)
            raise

    async def _append_answer(self, response: ModelResponse, outcome: CallOutcome) -> Step:
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
        reaction = choose_reaction(
            response.stop_reason, response.content, continuations=continuations
        )
        return step + await self._react(reaction, response)

    async def _react(self, reaction: Reaction, response: ModelResponse) -> Step:
        match reaction.next:
            case Next.RUN_TOOLS:
                return await self._open_tools(response)
            case Next.CALL_AGAIN:
                return self.with_intent(
                    self.compose_user_message(reaction.message) if reaction.message else Step()
                )
            case Next.FAIL:
                self._attempt.failure = reaction.failure
                return Step()
            case Next.DONE:
                return await self.make_result_step()

    async def _open_tools(self, response: ModelResponse) -> Step:
        decisions = await self._decider.decide(
            tool_uses(response.content),
            turn=self._state.turn,
            malformed=response.malformed_inputs,
            now=datetime.now(UTC),
        )
        if self._state.is_finishing:
            decisions = refuse_all(decisions, f"{NOT_RUN} {FINISH_REQUEST}")
            self._state.refused_turns += 1
            self._state.must_finish_early = self._state.refused_turns >= MAX_REFUSED_TURNS
        step = await self._tools.open(decisions)
        return step + self.close_tool_turn() if self._state.is_turn_settled else step

    async def make_result_step(self) -> Step:
        """The execution's result as a step; an empty or invalid one is a failure.

        The text was paid for, so it is kept even then. An unread signal is read before the
        execution fails, because a message continues it.
        """
        answer = self._state.transcript.last_answer(self._state.snapshot.execution_id)
        result = await self._make_result(answer)
        if isinstance(result, Failure):
            if not self._attempt.interrupts.has_unread:
                self._attempt.failure = result
            return Step(result={"text": join_text(answer)} if answer else None)
        return Step(result=result)

    async def _make_result(self, blocks: Sequence[Block]) -> Mapping[str, Any] | Failure:
        options = self._state.snapshot.definition.get("sdk_options", {})
        return await make_result(
            blocks,
            options.get("output_schema"),
            schemas=self._schemas,
            user_id=self._state.snapshot.user_id,
        )

    # --- the final answer ---------------------------------------------------------------------

    async def conclude(self) -> Stop | None:
        """React to the final answer as it is recorded, because a crash may have followed it."""
        if self._state.must_finish_early:
            return await self._finish_early()
        last, transcript = self._state.transcript.last, self._state.transcript
        before = max(transcript.continuations - 1, 0)
        stop_reason = last.stop_reason if last is not None else None
        reaction = choose_reaction(stop_reason or "", transcript.last_blocks, continuations=before)
        if reaction.next is Next.CALL_AGAIN:
            return await self._continue_paused_turn()
        if last is None or last.execution_id != self._state.snapshot.execution_id:
            self._attempt.failure = Failure(
                ErrorCode.INVALID_DEFINITION, "There is no prompt to answer."
            )
            return None
        self._attempt.failure = reaction.failure
        if reaction.failure is None:
            await self.make_result_step()
        return Stop(Outcome.DONE) if self._attempt.failure is None else None

    async def _finish_early(self) -> Stop | None:
        """End with the last text as the result: a person chose to make no other call."""
        step = self.compose_user_message(()) if self._state.unsent_messages else Step()
        answer = self._state.transcript.last_answer(self._state.snapshot.execution_id)
        result = await self._make_result(answer)
        if isinstance(result, Failure):
            message = f"A person chose to finish without another call. {result.message}"
            self._attempt.failure = Failure(ErrorCode.BUDGET_EXHAUSTED, message)
            step += Step(result={"text": join_text(answer)} if answer else None)
        else:
            step += Step(result=result)
        await self._attempt.write(self._attempt.with_running_status(step))
        return None if self._attempt.failure else Stop(Outcome.DONE)

    async def _continue_paused_turn(self) -> Stop | None:
        """Continue a turn that the model paused."""
        if self._attempt.must_pause():
            return await self._attempt.pause()
        if self._attempt.must_hand_over():
            return Stop(Outcome.HANDED_OVER)
        return await self.call()
