"""How often: requests of one user, and refused credentials from one address.

Counted in this process: with several gateways a user has the limit at each of them.
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
class Standing:
    """Where somebody stands with a limit."""

    limit: int
    window_seconds: int
    remaining: int
    reset_seconds: int
    """When there is room again, or more of it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """As clients are told."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
            "RateLimit-Policy": f"{self.limit};w={self.window_seconds}",
        }


class Rates:
    """One limit on many, each by their name, over a moving window."""

    def __init__(self, limit: str) -> None:
        """`limit` reads `600/minute`."""
        self._item = parse(limit)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    @classmethod
    def maybe(cls, limit: str) -> "Rates | None":
        """None where the limit is empty."""
        return cls(limit) if limit else None

    def count(self, who: str) -> Standing:
        """Count one of `who`.

        Raises:
            RateLimitedError: it is one too many, and does not count.
        """
        is_within = self._window.hit(self._item, who)
        standing = self.standing(who)
        if not is_within:
            raise RateLimitedError(
                f"More than {standing.limit} in {standing.window_seconds} s; try again in "
                f"{standing.reset_seconds} s.",
                standing.reset_seconds,
                limit=standing.limit,
                window_seconds=standing.window_seconds,
            )
        return standing

    def standing(self, who: str) -> Standing:
        """Where `who` stands, without counting."""
        reset, remaining = self._window.get_window_stats(self._item, who)
        wait = max(1, math.ceil(reset - time.time()))
        return Standing(self._item.amount, self._item.get_expiry(), max(0, remaining), wait)
