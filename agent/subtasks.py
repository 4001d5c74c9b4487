"""`delegate`: makes a subtask's definition from its parent's."""

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
"""Fields that a subtask inherits unchanged. It notifies only about its questions."""

INHERITED_OPTIONS = ("model", "max_tokens", "temperature", "thinking", "effort", "permission_mode")
"""Model options that a subtask inherits; its limits and output schema are its own."""


def make_child(parent: Snapshot, call: ToolCall) -> NewChild:
    """Make the subtask of a `delegate` call.

    Raises:
        ToolInputError: it is too deep, or names tools that its parent does not have.
    """
    if parent.depth >= MAX_DEPTH:
        raise ToolInputError(f"Subtasks go {MAX_DEPTH} levels deep at most; do this one yourself.")
    request: dict[str, Any] = json.loads(call.input_to_run)
    options = parent.definition.get("sdk_options", {})
    child_options = {k: options[k] for k in INHERITED_OPTIONS if options.get(k) is not None}
    if "max_turns" in request:
        child_options["max_turns"] = request["max_turns"]
    agent_id = request.get("agent_id")
    if agent_id is None:
        # The parent's model may be that of its agent; a child without an agent keeps it.
        child_options.setdefault("model", parent.prefix.model)
    budget = request.get("max_budget_usd")
    return NewChild(
        id=new_id(),
        tool_call_id=call.id,
        title=request["title"],
        definition={
            **{k: parent.definition[k] for k in INHERITED if k in parent.definition},
            "prompt_template": request["prompt"],
            "agent_id": agent_id,
            "allowed_tools": _tools(parent, request.get("allowed_tools")),
            "sdk_options": child_options,
        },
        budget_usd=None if budget is None else Decimal(str(budget)),
        agent_id=agent_id,
    )


def _tools(parent: Snapshot, names: Sequence[str] | None) -> Sequence[str]:
    """The subtask's tools: all of its parent's, or only those with these names."""
    allowed: Sequence[str] = parent.definition.get("allowed_tools", ())
    if names is None:
        return allowed
    if missing := [name for name in names if not parent.permissions.offers(name)]:
        raise ToolInputError(
            f"You can pass on only tools you have yourself, not {', '.join(missing)}."
        )
    return [pattern for pattern in allowed if pattern.split("(")[0] in names]


def limit_problem(new: int, *, of_turn: int, descendants: int) -> str | None:
    """Why a turn may not start this many new subtasks, as a sentence for the model, or None.

    `of_turn` counts all subtasks of the turn, `descendants` the existing ones of the whole tree.
    """
    if of_turn > MAX_DELEGATIONS_PER_TURN:
        return f"At most {MAX_DELEGATIONS_PER_TURN} subtasks may be started in one turn."
    if new + descendants > MAX_DESCENDANTS:
        return f"An execution may have {MAX_DESCENDANTS} subtasks in all; there are {descendants}."
    return None


def describe_result(result: ChildResult) -> tuple[str, bool]:
    """The result of a finished subtask as text for the model, and whether it is an error."""
    if result.status is ExecutionStatus.COMPLETED:
        return result.text or "(the subtask ended without text)", False
    if result.status is ExecutionStatus.CANCELLED:
        return "The subtask was cancelled.", True
    return f"The subtask failed ({result.error_code}): {result.error_message}", True
