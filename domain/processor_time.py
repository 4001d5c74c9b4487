"""The processor time that work of each user has taken lately, so that no user takes all of it."""

import time
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Seconds of processor time that users owe. They pay back with the time that passes."""

    earned_per_second: float
    """What a user may take in the long run; 1 is one processor."""
    most_owed: float = float("inf")
    """A user never owes more, so that they can pay it back in some minutes."""
    _owed: dict[UUID, tuple[float, float]] = field(default_factory=dict)

    def compute_owed(self, user_id: UUID) -> float:
        """The seconds that a user owes now."""
        owed, since = self._owed.get(user_id, (0.0, 0.0))
        return max(owed - (time.monotonic() - since) * self.earned_per_second, 0.0)

    def charge(self, user_id: UUID, seconds: float) -> None:
        """Add time; users who owe nothing any more are forgotten."""
        owed = min(self.compute_owed(user_id) + seconds, self.most_owed)
        for user in [user for user in self._owed if not self.compute_owed(user)]:
            del self._owed[user]
        self._owed[user_id] = owed, time.monotonic()
