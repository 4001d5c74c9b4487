"""What the scripted server was asked, for tests: bodies byte for byte, and how each call ended."""

import hashlib
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

_KEPT_BYTES = 64 * 1024 * 1024
"""Of request bodies, in memory: a test's worth. A long conversation re-sends itself at every call,
so keeping everything would grow with the square of its length; the oldest bodies go first."""


@dataclass(slots=True)
class LoggedCall:
    """One call. `conversation` is the hash of the first message, `turn` the number in its script.

    `arrived_at` and `ended_at` are in seconds of the machine's monotonic clock, to tell how far
    apart things are.

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
        """Note how it ended, now."""
        self.outcome, self.ended_at = outcome, time.monotonic()


class RequestLog:
    """All calls since the server started."""

    def __init__(self) -> None:
        self.calls: list[LoggedCall] = []
        self._bodies: deque[bytes] = deque()
        self._kept_bytes = 0

    def open(self, body: bytes) -> LoggedCall:
        """Note a call that has arrived."""
        call = LoggedCall(hashlib.sha256(body).hexdigest(), len(body))
        self.calls.append(call)
        self._bodies.append(body)
        self._kept_bytes += len(body)
        while self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._bodies.popleft())
        return call

    @property
    def bodies(self) -> list[bytes]:
        """The request bodies as they came, oldest first; the latest 64 MiB of them."""
        return list(self._bodies)

    def summary(self) -> dict[str, Any]:
        """Counts by outcome, and every call without its body."""
        outcomes = [call.outcome for call in self.calls]
        counts = {name: outcomes.count(name) for name in sorted(set(outcomes))}
        calls = [asdict(call) for call in self.calls]
        return {"count": len(calls), "outcomes": counts, "requests": calls}
