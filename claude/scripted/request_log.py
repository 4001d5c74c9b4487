"""Logs the calls of the scripted server, for tests: their exact bodies, and how each ended."""

import hashlib
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT_BYTES = 64 * 1024 * 1024
"""Size of the kept request bodies. Each call repeats its whole conversation, so keeping all would
grow with the square of its length; the oldest bodies are dropped first (chosen)."""


@dataclass(slots=True)
class LoggedCall:
    """One call. `conversation` is the hash of the first message, `turn` the number in its script.

    `arrived_at` and `ended_at` are seconds of the machine's monotonic clock.

    `outcome` is `open`, then `answered`, `cut` (by the script), or `disconnected` (by the client).
    """

    sha256: str
    size_bytes: int
    conversation: str = ""
    turn: int = 0
    status: int = 0
    outcome: str = "open"
    arrived_at: float = field(default_factory=time.monotonic)
    ended_at: float | None = None

    def end(self, outcome: str) -> None:
        """Record how the call ended, and when."""
        self.outcome, self.ended_at = outcome, time.monotonic()


class RequestLog:
    """All calls since the server started."""

    def __init__(self) -> None:
        self.calls: list[LoggedCall] = []
        self._bodies: deque[bytes] = deque()
        self._kept_bytes = 0

    def open(self, body: bytes) -> LoggedCall:
        """Record a new call."""
        call = LoggedCall(hashlib.sha256(body).hexdigest(), len(body))
        self.calls.append(call)
        self._bodies.append(body)
        self._kept_bytes += len(body)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._bodies.popleft())
        return call

    @property
    def bodies(self) -> list[bytes]:
        """The exact request bodies, oldest first; only the latest 64 MiB."""
        return list(self._bodies)

    def summary(self) -> dict[str, Any]:
        """The number of calls by outcome, and all calls without their bodies."""
        outcomes = [call.outcome for call in self.calls]
        counts = {name: outcomes.count(name) for name in sorted(set(outcomes))}
        calls = [asdict(call) for call in self.calls]
        return {"count": len(calls), "outcomes": counts, "requests": calls}
