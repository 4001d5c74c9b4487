"""The calculated priority of external work: in which order workers get it.

It is computed from what a person or an agent says about the work (the base priority, its deadline
and its source) and from its place among other work (what it needed, what waits for it).
"""

import math
from dataclasses import dataclass
from enum import StrEnum

HIGHEST = 100.0

MOST_COUNTED = 999
"""Executions that wait for one; more do not raise its priority (the logarithm reaches 100)."""

_NO_DEADLINE = 50.0

_MINUTE, _HOUR, _DAY, _WEEK = 60.0, 3600.0, 86_400.0, 604_800.0
_LEVELS = ((_MINUTE, HIGHEST), (_HOUR, 80.0), (_DAY, 50.0), (_WEEK, 30.0))
"""Without an estimate: the urgency if less than these seconds are left (chosen)."""
_FAR = 10.0

_STEP = 5.0
"""With an estimate, the urgency grows without steps. It is computed again each time it has grown
by this much, which is 1.25 of the priority (chosen: at most 13 updates of a row)."""


class WorkSource(StrEnum):
    """Who asked for the work."""

    HUMAN = "human"
    REQUIREMENTS = "agent_requirements"
    PLANNER = "agent_planner"
    IMPLEMENTATION = "agent_implementation"


_SOURCES = {
    WorkSource.HUMAN: 100.0,
    WorkSource.REQUIREMENTS: 75.0,
    WorkSource.PLANNER: 50.0,
    WorkSource.IMPLEMENTATION: 25.0,
}

_SOURCES_OF_TRIGGERS = {"plan": WorkSource.PLANNER, "subtask": WorkSource.IMPLEMENTATION}


def find_source(trigger_type: str) -> WorkSource:
    """The source of work that names none: a plan, a delegating agent, or else a person."""
    return _SOURCES_OF_TRIGGERS.get(trigger_type, WorkSource.HUMAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityFacts:
    """What the priority of one execution is computed from.

    `left_seconds` is the time until its deadline, negative after it; None without a deadline.
    `depth` is the length of the longest chain of prerequisites below it. `waiting` counts the
    executions that wait directly for it.
    """

    base: int
    source: WorkSource
    depth: int = 0
    waiting: int = 0
    left_seconds: float | None = None
    estimated_seconds: float | None = None


def calculate_priority(facts: PriorityFacts) -> float:
    """The priority from 0 to 100, to two decimals (formula: docs/guides/queue.md)."""
    waiting = min(33.33 * math.log10(facts.waiting + 1), HIGHEST)
    if facts.waiting >= MOST_COUNTED:
        waiting = HIGHEST
    return round(
        0.30 * facts.base * 10
        + 0.25 * min(10.0 * facts.depth, HIGHEST)
        + 0.25 * calculate_urgency(facts.left_seconds, facts.estimated_seconds)
        + 0.15 * waiting
        + 0.05 * _SOURCES[facts.source],
        2,
    )


def calculate_urgency(left_seconds: float | None, estimated_seconds: float | None) -> float:
    """The urgency from 0 to 100 (formula: docs/guides/queue.md)."""
    if left_seconds is None:
        return _NO_DEADLINE
    if left_seconds <= 0 or (estimated_seconds and left_seconds < estimated_seconds):
        return HIGHEST
    if estimated_seconds:
        return HIGHEST * math.exp(-left_seconds / (2 * estimated_seconds))
    return next((urgency for limit, urgency in _LEVELS if left_seconds < limit), _FAR)


def seconds_to_change(left_seconds: float | None, estimated_seconds: float | None) -> float | None:
    """After how many seconds the urgency must be computed again; None: it no longer changes."""
    if left_seconds is None or calculate_urgency(left_seconds, estimated_seconds) == HIGHEST:
        return None
    if not estimated_seconds:
        return left_seconds - max(limit for limit, _ in _LEVELS if limit <= left_seconds)
    urgency = calculate_urgency(left_seconds, estimated_seconds)
    following = min((math.floor(urgency / _STEP + 1e-9) + 1) * _STEP, HIGHEST)
    reached_at = -2 * estimated_seconds * math.log(following / HIGHEST)
    return max(0.0, left_seconds - max(reached_at, estimated_seconds))
