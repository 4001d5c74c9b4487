"""Limits of one execution, and their defaults."""

from dataclasses import dataclass
from datetime import datetime

DEFAULT_MAX_TURNS = 200
"""Model calls of one execution (chosen: ten times what a long tool run takes in our tests)."""

DEFAULT_MAX_TOKENS = 16_000
"""Output tokens of one call (chosen: far below every current model's maximum)."""

MAX_DEPTH = 5
"""Levels of subtasks (chosen)."""

MAX_DELEGATIONS_PER_TURN = 10
"""Subtasks that one turn may start (chosen)."""

MAX_DESCENDANTS = 100
"""Subtasks of one execution, including those of its subtasks (chosen)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one execution. `timeout_seconds` counts running time, `deadline_at` wall time."""

    max_turns: int = DEFAULT_MAX_TURNS
    timeout_seconds: float | None = None
    deadline_at: datetime | None = None
    segment_turns: int | None = None
