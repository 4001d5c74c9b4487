"""The kinds of input requests, and a task's policy for them: who answers, and what if not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from domain.tool_calls import ToolEffect

EXPIRING = frozenset({"fail", "deny", "default"})
"""Rules that apply when a request is past due; with others it stays open."""


class RequestKind(StrEnum):
    """What kind of answer a person gives (contract.md, section 5)."""

    QUESTION = "question"
    FORM = "form"
    APPROVAL = "approval"
    PLAN_APPROVAL = "plan_approval"
    BUDGET = "budget"
    EFFECT_CHECK = "effect_check"


DECISIONS: Mapping[RequestKind, tuple[str, ...]] = {
    RequestKind.QUESTION: ("approve", "deny"),
    RequestKind.FORM: ("approve", "deny"),
    RequestKind.APPROVAL: ("approve", "deny", "edit"),
    RequestKind.PLAN_APPROVAL: ("approve", "deny", "edit"),
    RequestKind.BUDGET: ("approve", "deny", "finish"),
    RequestKind.EFFECT_CHECK: ("happened", "not_happened", "skip"),
}
"""The decisions by kind. To a question, an answer without a decision means `approve`, and `deny`
leaves it unanswered."""

QUESTIONS = frozenset({RequestKind.QUESTION, RequestKind.FORM})
"""Kinds that ask for text or values; the other kinds ask for a decision."""


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """A task's `human_input_policy` (contract.md, section 2)."""

    mode: Literal["wait", "deny", "fail"] = "wait"
    due_seconds: float | None = None
    on_expiry: str = "fail"
    default_answer: Any = None
    assignee: str | None = None
    on_unknown_effect: Literal["auto", "ask", "tell_model", "fail"] = "auto"

    def due_at(self, now: datetime) -> datetime | None:
        """The due time of a request opened now; None if it has none."""
        return None if self.due_seconds is None else now + timedelta(seconds=self.due_seconds)

    def unknown_effect_rule(self, effect: ToolEffect) -> Literal["ask", "tell_model", "fail"]:
        """What happens to an interrupted call of this class, which must not run again by itself."""
        if self.on_unknown_effect != "auto":
            return self.on_unknown_effect
        return "tell_model" if effect is ToolEffect.WORKSPACE else "ask"


def is_empty(values: Any) -> bool:
    """Whether `values` contain nothing. `false`, `0`, `""` and `[]` are answers."""
    if isinstance(values, Mapping) and set(values) == {"answer"}:
        return values["answer"] is None
    return values is None or values == {}
