"""`delegate`: a subtask with a definition of its own, made from its parent's."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from domain.errors import ToolInputError
from domain.ids import new_id
from domain.limits import MAX_DELEGATIONS_PER_TURN, MAX_DEPTH, MAX_DESCENDANTS
from domain.states import ExecutionStatus
from domain.steps import ChildResult, NewChild, Snapshot, ToolCall

INHERITED = (
    "system_prompt", "ask_tools", "disallowed_tools", "human_input_policy", "notification_config",
)  # fmt: skip
"""What a subtask takes from its parent's definition as it is; it notifies only of its questions."""

INHERITED_OPTIONS = ("model", "max_tokens", "temperature", "thinking", "effort", "permission_mode")
"""Model options a subtask takes over; limits and output shapes are its own."""


def child_of(parent: Snapshot, call: ToolCall) -> NewChild:
    """The subtask a `delegate` call asks for.

    Raises:
        ToolInputError: too deep, or it asks for tools its parent doesn't have.
    """
    if parent.depth >= MAX_DEPTH:
        raise ToolInputError(f"Subtasks go {MAX_DEPTH} levels deep at most; do this one yourself.")
    asked: dict[str, Any] = json.loads(call.input)
    options = parent.definition.get("sdk_options", {})
    child_options = {k: options[k] for k in INHERITED_OPTIONS if options.get(k) is not None}
    if "max_turns" in asked:
        child_options["max_turns"] = asked["max_turns"]
    agent_id = asked.get("agent_id")
    if agent_id is None:
        # A parent's model may be its agent's; without one of its own the child stays on it.
        child_options.setdefault("model", parent.prefix.model)
    budget = asked.get("max_budget_usd")
    return NewChild(
        id=new_id(),
        tool_call_id=call.id,
        title=asked["title"],
        definition={
            **{k: parent.definition[k] for k in INHERITED if k in parent.definition},
            "prompt_template": asked["prompt"],
            "agent_id": agent_id,
            "allowed_tools": _tools(parent, asked.get("allowed_tools")),
            "sdk_options": child_options,
        },
        budget_usd=None if budget is None else Decimal(str(budget)),
        agent_id=agent_id,
    )


def _tools(parent: Snapshot, asked: Sequence[str] | None) -> Sequence[str]:
    """The subtask's tools: its parent's, or those of them that were asked for by name."""
    allowed: Sequence[str] = parent.definition.get("allowed_tools", ())
    if asked is None:
        return allowed
    if missing := [name for name in asked if not parent.permissions.offers(name)]:
        raise ToolInputError(
            f"You can pass on only tools you have yourself, not {', '.join(missing)}."
        )
    return [pattern for pattern in allowed if pattern.split("(")[0] in asked]


def too_many(new: int, *, of_turn: int, descendants: int) -> str | None:
    """Why a turn may not start so many new subtasks, as a sentence for the model, or None.

    `of_turn` counts the new ones too, `descendants` those of the whole tree that there are.
    """
    if of_turn > MAX_DELEGATIONS_PER_TURN:
        return f"At most {MAX_DELEGATIONS_PER_TURN} subtasks may be started in one turn."
    if new + descendants > MAX_DESCENDANTS:
        return f"An execution may have {MAX_DESCENDANTS} subtasks in all; there are {descendants}."
    return None


def result_text(result: ChildResult) -> tuple[str, bool]:
    """What the model is told of a finished subtask, and whether that is an error."""
    if result.status is ExecutionStatus.COMPLETED:
        return result.text or "(the subtask ended without text)", False
    if result.status is ExecutionStatus.CANCELLED:
        return "The subtask was cancelled.", True
    return f"The subtask failed ({result.error_code}): {result.error_message}", True
