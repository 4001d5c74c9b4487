"""The reaction to each stop reason of the model (facts: Messages API, 2026-10-21)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.transcript import result_block, text_block, tool_uses
from domain.errors import ErrorCode
from domain.executions.steps import Failure
from domain.model.calls import StopReason

MAX_CONTINUATIONS = 10
"""Truncated or paused turns in a row before the execution fails (facts, C5: cap of pause_turn)."""

CUT = "Your turn reached the output limit before this call was complete, so it was not run."
CONTINUE_PAUSED = "Continue."
CONTINUE = "Your turn reached the output limit. Continue where it ended."

SERVER_TOOLS = frozenset({"server_tool_use", "mcp_tool_use"})
"""Types of tool calls that run at the provider."""

FAILURES: Mapping[str, tuple[ErrorCode, str]] = {
    StopReason.REFUSAL: (ErrorCode.MODEL_REFUSED, "The model refused to continue."),
    StopReason.CONTEXT_EXCEEDED: (
        ErrorCode.CONTEXT_EXCEEDED,
        "The conversation is larger than the model's context.",
    ),
}


class Next(StrEnum):
    """What the loop does after a turn."""

    RUN_TOOLS = "run_tools"
    CALL_AGAIN = "call_again"
    DONE = "done"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Reaction:
    """The next move, with its user message or its failure."""

    next: Next
    message: Sequence[Mapping[str, Any]] = ()
    failure: Failure | None = None


def choose_reaction(
    stop_reason: str, blocks: Sequence[Mapping[str, Any]], *, continuations: int
) -> Reaction:
    """Decide what follows a turn. `continuations` counts the incomplete turns just before it.

    The content counts more than the stop reason: some proxies report `end_turn` for a tool call.
    Only the tool calls of a truncated or refused turn are never executed.
    """
    match stop_reason:
        case (
            StopReason.TOOL_USE
            | StopReason.END_TURN
            | StopReason.STOP_SEQUENCE
            | StopReason.PAUSE_TURN
        ) if tool_uses(blocks):
            return Reaction(Next.RUN_TOOLS)
        case StopReason.END_TURN | StopReason.STOP_SEQUENCE | StopReason.TOOL_USE:
            return Reaction(Next.DONE)
        case StopReason.PAUSE_TURN | StopReason.MAX_TOKENS:
            return _continue_incomplete(stop_reason, blocks, continuations)
    code, message = FAILURES.get(
        stop_reason,
        (ErrorCode.MODEL_ERROR, f"The model stopped for an unknown reason: {stop_reason!r}."),
    )
    return Reaction(Next.FAIL, failure=Failure(code, message))


def _continue_incomplete(
    stop_reason: str, blocks: Sequence[Mapping[str, Any]], continuations: int
) -> Reaction:
    if continuations >= MAX_CONTINUATIONS:
        return _fail_too_long(f"The answer was incomplete {continuations + 1} times in a row.")
    if stop_reason == StopReason.PAUSE_TURN:
        # The API continues only a turn that ends in a server's tool; others need a message.
        is_server_tool = any(b.get("type") in SERVER_TOOLS for b in blocks)
        return Reaction(
            Next.CALL_AGAIN, message=() if is_server_tool else [text_block(CONTINUE_PAUSED)]
        )
    if not blocks:
        return _fail_too_long("There was no room for any answer.")
    return Reaction(Next.CALL_AGAIN, message=_continue_message(blocks))


def _fail_too_long(problem: str) -> Reaction:
    return Reaction(
        Next.FAIL, failure=Failure(ErrorCode.MAX_TOKENS, f"{problem} Raise sdk_options.max_tokens.")
    )


def _continue_message(blocks: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The reply to a truncated turn: results for its calls, which did not run, or a prompt."""
    results = [result_block(use["id"], CUT, is_error=True) for use in tool_uses(blocks)]
    return results or [text_block(CONTINUE)]
