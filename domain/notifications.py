"""Telling people and services outside: of which events, how often it is tried, and when not again.

A trigger in the migrations writes the rows; it has the names of the events and the defaults too.
"""

from datetime import timedelta
from enum import StrEnum

TERMINAL_EVENTS = ("execution.completed", "execution.failed", "execution.cancelled")

EVENTS = (
    "execution.started",
    *TERMINAL_EVENTS,
    "input.requested",
    "input.answered",
    "input.expired",
    "report.ready",
)
"""What can be told."""

DEFAULT_EVENTS = (*TERMINAL_EVENTS, "input.requested")
"""What is told where a target names nothing."""

TEST_EVENT = "notification.test"
"""Told to nobody but who asks for it."""

TRIES = 20
"""With the delays below three days, over a weekend (chosen)."""

_FIRST_DELAY, _FACTOR, _LONGEST_DELAY = timedelta(seconds=5), 3, timedelta(hours=6)
_LONGEST_WAIT = timedelta(hours=24)
"""What a receiver can ask for with `Retry-After` (chosen)."""

REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY_REQUESTS = 408, 425, 429
_PASSING = frozenset({REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY_REQUESTS})


class Delivery(StrEnum):
    """Where a notification stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Kind(StrEnum):
    """By which way."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SLACK = "slack"


def delay_after(tries: int, asked_seconds: float | None = None) -> timedelta:
    """How long to wait after so many tries: 5 s, three times as long each time, 6 h at most.

    A receiver that asks for more gets it, up to a day.
    """
    own = min(_FIRST_DELAY * float(_FACTOR ** min(tries - 1, 10)), _LONGEST_DELAY)
    asked = timedelta(seconds=min(max(asked_seconds or 0.0, 0.0), _LONGEST_WAIT.total_seconds()))
    return max(own, asked)


def is_success(http_status: int) -> bool:
    """Whether the receiver took it."""
    return 200 <= http_status < 300  # noqa: PLR2004 - the class of statuses (RFC 9110, 15.3)


def is_final(http_status: int) -> bool:
    """Whether another try is of no use before somebody changes something.

    A refusal (4xx) is, but for those that pass; so is a redirect, which is not followed.
    """
    return 300 <= http_status < 500 and http_status not in _PASSING  # noqa: PLR2004 - as above
