"""Limits for users and addresses: requests per time, requests and streams at a time, refusals.

Each process counts separately: with several gateways, a limit applies at each of them.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from domain.errors import RateLimitedError

WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

REMEMBERED_NAMES = 10_000
"""Beyond this number, names that have all their requests left are forgotten."""

RETRY_SECONDS = 1
"""When to retry while too many requests are in progress (chosen: most take milliseconds)."""

FAST_REFUSALS = "20/second"
"""Refusals of one user or address that are sent at once. A refusal takes 1 to 4 ms of the gateway
(measured 2026-11-28), so a client that repeats refused requests gets less than a tenth of it."""

LONGEST_PAUSE_SECONDS = 10.0
"""Before a refusal; shorter than client timeouts (chosen)."""


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """The state of a limit for one user or address."""

    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    """Seconds until a request is allowed; while requests are left, until all of them are."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers for clients."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
            "RateLimit-Policy": f"{self.limit};w={self.window_seconds}",
        }


class Rates:
    """A limit that applies separately to each name: a token bucket that refills continuously.

    It stores one number for each name (the generic cell rate algorithm): the time at which all
    requests are allowed again.
    """

    def __init__(self, limit: str) -> None:
        """`limit` has the format `600/minute`."""
        amount, _, unit = limit.partition("/")
        self._limit, self._window = int(amount), WINDOWS[unit]
        self._full_at: dict[str, float] = {}

    @classmethod
    def maybe(cls, limit: str) -> "Rates | None":
        """None if the limit is empty."""
        return cls(limit) if limit else None

    def count(self, who: str) -> RateLimitState:
        """Count a request of `who`.

        Raises:
            RateLimitedError: the limit is reached; the request is not counted.
        """
        now = time.time()
        state = self._state(who, now)
        if not state.remaining:
            raise RateLimitedError(
                f"More than {state.limit} requests in {state.window_seconds} s; retry in "
                f"{state.reset_seconds} s.",
                state.reset_seconds,
                limit=state.limit,
                window_seconds=state.window_seconds,
            )
        self._add(who, now)
        return self._state(who, now)

    def reserve(self, who: str, *, within: float) -> float:
        """Count a request that may wait: the seconds, at most `within`, until the limit allows it.

        A request that would have to wait longer does not make later ones wait.
        """
        now = time.time()
        self._add(who, now)
        full_at = self._full_at[who] = min(self._full_at[who], now + self._window + within)
        return max(0.0, full_at - now - self._window)

    def state(self, who: str) -> RateLimitState:
        """The state of the limit for `who`, without counting."""
        return self._state(who, time.time())

    def _add(self, who: str, now: float) -> None:
        if len(self._full_at) >= REMEMBERED_NAMES:
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
        self._full_at[who] = max(self._full_at.get(who, now), now) + self._window / self._limit

    def _state(self, who: str, now: float) -> RateLimitState:
        used_seconds = max(0.0, self._full_at.get(who, now) - now)
        # A millionth of a request corrects the rounding of the sums of intervals.
        remaining = int((self._window - used_seconds) * self._limit / self._window + 1e-6)
        wait = used_seconds
        if not remaining:
            wait -= self._window - self._window / self._limit
        return RateLimitState(self._limit, self._window, remaining, max(1, math.ceil(wait)))


class AtOnce:
    """How many things of a kind each user has at a time."""

    def __init__(self, limit: int, what: str) -> None:
        """`what` names the things in the error message, such as `requests`."""
        self._limit = limit
        self._what = what
        self._count: Counter[UUID] = Counter()

    def enter(self, user_id: UUID) -> Callable[[], None]:
        """Count one; the function that is returned ends it.

        Raises:
            RateLimitedError: the user has too many; this one is not counted.
        """
        if self._count[user_id] >= self._limit:
            raise RateLimitedError(
                f"You have {self._limit} {self._what} in progress at this gateway, and more are "
                "not allowed; wait until one ends.",
                RETRY_SECONDS,
                limit=self._limit,
            )
        self._count[user_id] += 1

        def leave() -> None:
            self._count[user_id] -= 1
            if not self._count[user_id]:
                del self._count[user_id]

        return leave


class Refusals:
    """Delays refusals because of a limit, for each user or address that gets many.

    Otherwise, a client that repeats refused requests at once takes the gateway from the others.
    """

    def __init__(self) -> None:
        """At first, refusals are sent at once."""
        self._rates = Rates(FAST_REFUSALS)

    async def pause(self, who: str) -> None:
        """Wait before `who` gets one more refusal."""
        await asyncio.sleep(self._rates.reserve(who, within=LONGEST_PAUSE_SECONDS))
