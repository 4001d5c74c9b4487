"""Rate limits for the requests of a user and for failed attempts of an address.

Each process counts separately: with several gateways, the limit applies at each of them.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from domain.errors import RateLimitedError


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """The state of a limit for one user or address."""

    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    """Seconds until more requests are allowed."""

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
    """A limit that applies separately to each name, with a sliding window."""

    def __init__(self, limit: str) -> None:
        """`limit` has the format `600/minute`."""
        self._item = parse(limit)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    @classmethod
    def maybe(cls, limit: str) -> "Rates | None":
        """None if the limit is empty."""
        return cls(limit) if limit else None

    def count(self, who: str) -> RateLimitState:
        """Count a request of `who`.

        Raises:
            RateLimitedError: the limit is reached; the request is not counted.
        """
        is_within = self._window.hit(self._item, who)
        state = self.state(who)
        if not is_within:
            raise RateLimitedError(
                f"More than {state.limit} requests in {state.window_seconds} s; retry in "
                f"{state.reset_seconds} s.",
                state.reset_seconds,
                limit=state.limit,
                window_seconds=state.window_seconds,
            )
        return state

    def state(self, who: str) -> RateLimitState:
        """The state of the limit for `who`, without counting."""
        reset, remaining = self._window.get_window_stats(self._item, who)
        wait = max(1, math.ceil(reset - time.time()))
        return RateLimitState(self._item.amount, self._item.get_expiry(), max(0, remaining), wait)
