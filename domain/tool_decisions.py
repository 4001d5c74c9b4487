"""Decides whether a tool call may run (design.md, section 6). Not loaded by workflows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from domain.engine_tools import ASK_USER
from domain.permissions import EDITS, Permissions, valid_rules
from domain.tool_calls import ToolEffect
from domain.tool_rules import Rule


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call runs; `reason` is a sentence for the model, or for the person who approves.

    `rule` is the rule that decided, as it is written in the task; None if no rule did.
    """

    kind: Literal["run", "ask", "deny"]
    reason: str
    rule: str | None = None


def decide(
    permissions: Permissions, tool: str, tool_input: Mapping[str, Any], effect: ToolEffect
) -> Verdict:
    """Decide on one call. The strictest matching rule applies."""
    if not permissions.offers(tool):
        return Verdict("deny", f"{tool} is not among the tools of this task.")
    if forbidden := find_denial(permissions, tool, tool_input):
        return forbidden
    if permissions.mode == "plan" and effect is not ToolEffect.READ_ONLY:
        return Verdict(
            "deny", f"Only reading is allowed until the plan is approved; {tool} does more."
        )
    return _unless_waived(permissions, tool, _by_rules(permissions, tool, tool_input))


def find_denial(
    permissions: Permissions, tool: str, tool_input: Mapping[str, Any]
) -> Verdict | None:
    """The denial by `disallowed_tools`, which also apply to edited inputs, or None."""
    if rule := _first(
        r for r in valid_rules(permissions.disallowed) if r.touches(tool, tool_input)
    ):
        return Verdict("deny", f"This task forbids {rule}.", str(rule))
    return None


def _by_rules(permissions: Permissions, tool: str, tool_input: Mapping[str, Any]) -> Verdict:
    if rule := _first(r for r in valid_rules(permissions.ask) if r.touches(tool, tool_input)):
        return Verdict("ask", f"This task asks before {rule}.", str(rule))
    if rule := _first(r for r in valid_rules(permissions.allowed) if r.permits(tool, tool_input)):
        return Verdict("run", f"This task allows {rule}.", str(rule))
    return Verdict("ask", f"This task allows some uses of {tool}, but not this one.")


def _unless_waived(permissions: Permissions, tool: str, decision: Verdict) -> Verdict:
    """Skip an approval if the mode allows it, or if the call itself is a question."""
    if decision.kind != "ask":
        return decision
    if tool == ASK_USER:
        return Verdict("run", "A question needs no permission.")
    mode = permissions.mode
    if mode == "bypassPermissions" or (mode == "acceptEdits" and tool in EDITS):
        return Verdict("run", f"The permission mode is {mode}.")
    return decision


def _first(rules: Iterable[Rule]) -> Rule | None:
    return next(iter(rules), None)
