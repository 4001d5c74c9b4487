"""What happens when the model needs a person, and what an unanswered request does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

EXPIRING = frozenset({"fail", "deny", "default"})
"""Rules that act when a request is past due; with the others it stays open."""


@dataclass(frozen=True, slots=True)
class HumanInputPolicy:
    """A task's `human_input_policy` (contract.md, section 2)."""

    mode: Literal["wait", "deny", "fail"] = "wait"
    due_seconds: float | None = None
    on_expiry: str = "fail"
    default_answer: Any = None
    assignee: str | None = None

    def due_at(self, now: datetime) -> datetime | None:
        """When a request opened now is due, or None for never."""
        return None if self.due_seconds is None else now + timedelta(seconds=self.due_seconds)


def expiry_answer(rule: str, default_answer: Any) -> Mapping[str, Any] | None:
    """The answer that stands in for a person's when a request expires; None means fail."""
    if rule == "deny":
        return {"decision": "deny", "message": "No answer came in time."}
    if rule == "default" and default_answer is not None:
        if isinstance(default_answer, Mapping) and "decision" in default_answer:
            return default_answer
        return {"decision": "approve", "values": default_answer}
    return None
