"""Notifications to people and services: their events, retries, and final failures.

The trigger that writes their rows is in the migrations and repeats the event names and defaults.
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
    "input.reminded",
    "input.escalated",
    "input.mentioned",
    "report.ready",
)
"""Events that can be notified."""

ASKING_EVENTS = ("input.requested", "input.reminded", "input.escalated")
"""An input request waits for an answer. With the ends, these are the defaults."""

TEST_EVENT = "notification.test"
"""Events only for targets that name them."""

TRIES = 20
"""With the delays below about three days, longer than a weekend (chosen)."""

_FIRST_DELAY, _FACTOR, _LONGEST_DELAY = timedelta(seconds=5), 3, timedelta(hours=6)
_LONGEST_WAIT = timedelta(hours=24)
"""The longest accepted `Retry-After` of a receiver (chosen)."""

REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY_REQUESTS = 408, 425, 429
_PASSING = frozenset({REQUEST_TIMEOUT, TOO_EARLY, TOO_MANY_REQUESTS})


class Delivery(StrEnum):
    """The status of a notification."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Kind(StrEnum):
    """The channel of a notification."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SLACK = "slack"


def delay_after(tries: int, asked_seconds: float | None = None) -> timedelta:
    """The delay after this many tries: 5 s, then three times as long each time, at most 6 h.

    A receiver can request a longer one, up to a day.
    """
    own = min(_FIRST_DELAY * float(_FACTOR ** min(tries - 1, 10)), _LONGEST_DELAY)
    asked = timedelta(seconds=min(max(asked_seconds or 0.0, 0.0), _LONGEST_WAIT.total_seconds()))
    return max(own, asked)


def is_success(http_status: int) -> bool:
    """Whether the receiver accepted the notification."""
    return 200 <= http_status < 300  # noqa: PLR2004 - the class of statuses (RFC 9110, 15.3)


def is_final(http_status: int) -> bool:
    """Whether a retry can't succeed.

    True for client errors (4xx) except temporary ones, and for redirects, which are not followed.
    """
    return 300 <= http_status < 500 and http_status not in _PASSING  # noqa: PLR2004 - see above
