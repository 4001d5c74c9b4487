"""Decides whether a model call may be made, and what follows a failed call."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.ports import Prices
from agent.state import RunState
from domain.errors import ErrorCode, ModelCallError, ModelFailureKind
from domain.executions.steps import CallIntent, Failure
from domain.ids import new_id
from domain.model.compaction import compaction_tokens
from domain.model.pricing import estimate_tokens

MAX_FAILURES_IN_A_ROW = 8
"""Provider failures of one turn before the execution fails: with back-off about four minutes
(chosen; facts, C4)."""

FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 1.0, 60.0
"""Back-off where the provider names no delay (facts, C4)."""

HOLD_SECONDS = 5.0
"""A longer delay releases the worker's slot and becomes a timer (chosen)."""

FAILURE_CODES = {
    ModelFailureKind.NOT_CONFIGURED: ErrorCode.MODEL_NOT_CONFIGURED,
    ModelFailureKind.CONTEXT_EXCEEDED: ErrorCode.CONTEXT_EXCEEDED,
    ModelFailureKind.REQUEST_INVALID: ErrorCode.MODEL_REQUEST_INVALID,
}
"""Kinds with an error code of their own; the others are `model_error`."""


def make_intent(state: RunState, prices: Prices) -> CallIntent | Failure:
    """The intent of the next call, or why it is not allowed."""
    limits, prefix = state.snapshot.limits, state.snapshot.prefix
    if state.turn >= limits.max_turns and state.tries == 0:
        return Failure(ErrorCode.MAX_TURNS, f"The limit of {limits.max_turns} turns is reached.")
    estimate = prices.estimate(prefix.model, state.prompt_bytes, prefix.max_tokens)
    compacted_from = compaction_tokens(prefix.options)
    if estimate and compacted_from and estimate_tokens(state.prompt_bytes) >= compacted_from:
        estimate *= 2  # the summary reads the same prompt, and may be as long as the answer
    if estimate is None and state.snapshot.is_budgeted:
        message = f"There is a budget, but no known price for {prefix.model}."
        return Failure(ErrorCode.BUDGET_EXHAUSTED, message)
    return CallIntent(
        id=new_id(),
        turn=state.turn + (state.tries == 0),
        try_number=state.tries + 1,
        model=prefix.model,
        max_tokens=prefix.max_tokens,
        last_message_seq=state.transcript.next_seq - 1,
        request_sha256=state.transcript.fingerprint(),
        estimate_usd=estimate,
    )


@dataclass(frozen=True, slots=True)
class Retry:
    """Call the model again after a delay."""

    delay_seconds: float

    @property
    def is_long(self) -> bool:
        """Whether to wait outside the worker."""
        return self.delay_seconds > HOLD_SECONDS

    def compute_time(self, now: datetime) -> datetime:
        """The time of the next try."""
        return now + timedelta(seconds=self.delay_seconds)


class AskPerson:
    """Ask a person what to do about the provider's spend limit."""


def choose_after_failure(
    error: ModelCallError, failures_in_a_row: int, *, may_ask: bool
) -> Retry | AskPerson | Failure:
    """Decide what follows a failed call; `failures_in_a_row` counts this one.

    `may_ask` is False if the execution's policy is that no person answers.
    """
    if error.kind is ModelFailureKind.QUOTA and may_ask:
        return AskPerson()
    if not error.retryable:
        code = FAILURE_CODES.get(error.kind, ErrorCode.MODEL_ERROR)
        return Failure(code, error.detail)
    if failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
        return Failure(
            ErrorCode.MODEL_ERROR, f"{failures_in_a_row} calls failed in a row: {error.detail}"
        )
    back_off = min(FIRST_DELAY_SECONDS * 2 ** (failures_in_a_row - 1), MAX_DELAY_SECONDS)
    return Retry(error.delay_seconds if error.delay_seconds is not None else back_off)
