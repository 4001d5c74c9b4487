"""The policy for input requests: who answers, and what happens without an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

EXPIRING = frozenset({"fail", "deny", "default"})
"""Rules that apply when a request is past due; with others it stays open."""


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """A task's `human_input_policy` (contract.md, section 2)."""

    mode: Literal["wait", "deny", "fail"] = "wait"
    due_seconds: float | None = None
    on_expiry: str = "fail"
    default_answer: Any = None
    assignee: str | None = None

    def due_at(self, now: datetime) -> datetime | None:
        """The due time of a request opened now; None if it has none."""
        return None if self.due_seconds is None else now + timedelta(seconds=self.due_seconds)


def expiry_answer(rule: str, default_answer: Any) -> Mapping[str, Any] | None:
    """The answer that replaces a person's when a request expires; None: fail."""
    if rule == "deny":
        return {"decision": "deny", "message": "No answer came in time."}
    if rule == "default" and default_answer is not None:
        if isinstance(default_answer, Mapping) and "decision" in default_answer:
            return default_answer
        return {"decision": "approve", "values": default_answer}
    return None
