"""The kinds of input requests, and a task's policy for them: who answers, and what if not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from domain.people.working_hours import WorkingHours
from domain.tools.calls import ToolEffect

GROUP = "group:"
"""Begins an assignee that is a group: `group:legal`. Others are users, by their `sub`."""

OWNERS_PEOPLE = ("assignee", "escalate_to", "approvals_required", "starter_may_not_approve")
"""Fields of a task's policy about the people of its owner, which other users do not inherit."""

EXPIRING = frozenset({"fail", "deny", "default"})
"""Rules that apply when a request is past due; with others it stays open."""

VIEW_NAME = r"^[^\s/.]([^\x00-\x1f\x7f/]*[^\s/])?$"
"""A pattern of names of saved views: each is the last part of a path, so `..` is not a name."""


class RequestKind(StrEnum):
    """What kind of answer a person gives."""

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
    """A task's `human_input_policy`."""

    mode: Literal["wait", "deny", "fail"] = "wait"
    due_seconds: float | None = None
    on_expiry: str = "fail"
    default_answer: Any = None
    assignee: str | None = None
    remind_after_seconds: Sequence[float] = ()
    escalate_to: str | None = None
    on_escalation_expiry: str = "wait"
    approvals_required: int = 1
    starter_may_not_approve: bool = False
    recheck_tools: Sequence[str] = ()
    """Tools whose stale approvals do not run at once (`domain.people.rechecks`)."""
    hours: WorkingHours | None = None
    """Those of the assigned group; durations count only the time in them."""
    on_unknown_effect: Literal["auto", "ask", "tell_model", "fail"] = "auto"

    def due_at(self, now: datetime) -> datetime | None:
        """The due time of a request opened now; None if it has none."""
        return None if self.due_seconds is None else add_seconds(now, self.due_seconds, self.hours)

    def reminders(self, now: datetime) -> Sequence[datetime]:
        """The times at which a request opened now is recalled, earliest first."""
        return sorted(
            add_seconds(now, seconds, self.hours) for seconds in self.remind_after_seconds
        )

    @property
    def expiry_rule(self) -> str:
        """What happens at the due time, if there is one."""
        if self.due_seconds is None or (self.on_expiry == "escalate" and self.escalate_to is None):
            return "wait"
        return self.on_expiry

    def unknown_effect_rule(self, effect: ToolEffect) -> Literal["ask", "tell_model", "fail"]:
        """What happens to an interrupted call of this class, which must not run again by itself."""
        if self.on_unknown_effect != "auto":
            return self.on_unknown_effect
        return "tell_model" if effect is ToolEffect.WORKSPACE else "ask"


def add_seconds(now: datetime, seconds: float, hours: WorkingHours | None) -> datetime:
    """The time this many seconds from now, of which only working hours count if there are any."""
    duration = timedelta(seconds=seconds)
    return now + duration if hours is None else hours.add(now, duration)


def make_reminder(at: datetime) -> dict[str, Any]:
    """A planned reminder as a request stores it; `sent_at` is empty until then."""
    return {"at": at.isoformat(), "sent_at": None}


def make_escalation(policy: InputPolicy) -> dict[str, Any] | None:
    """What happens to a request at its due time, as it stores it; None without an escalation."""
    if policy.expiry_rule != "escalate":
        return None
    return {
        "to": policy.escalate_to,
        "due_seconds": policy.due_seconds,
        "on_expiry": policy.on_escalation_expiry,
    }


def next_action_at(
    reminders: Sequence[Mapping[str, Any]], on_expiry: str, due_at: datetime | None
) -> datetime | None:
    """When a request is next recalled or escalated; None if it is neither."""
    times = [datetime.fromisoformat(r["at"]) for r in reminders if r["sent_at"] is None]
    if on_expiry == "escalate" and due_at is not None:
        times.append(due_at)
    return min(times, default=None)


def group_of(assignee: str | None) -> str | None:
    """The name of the group that is assigned; None if it is a user, or there is none."""
    is_group = assignee is not None and assignee.startswith(GROUP)
    return assignee.removeprefix(GROUP) if assignee is not None and is_group else None


def is_empty(values: Any) -> bool:
    """Whether `values` contain nothing. `false`, `0`, `""` and `[]` are answers."""
    if isinstance(values, Mapping) and set(values) == {"answer"}:
        return values["answer"] is None
    return values is None or values == {}
