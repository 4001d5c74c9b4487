"""Why `call_claude` stopped moving an execution forward."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.steps import Failure


class Outcome(StrEnum):
    """What the workflow has to do next."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NEEDS_PEOPLE = "needs_people"
    NEEDS_SUBTASKS = "needs_subtasks"
    WAITS = "waits"
    """For a time: a provider's delay or a timer of the model's."""
    PAUSED = "paused"
    """Somebody paused it; nothing goes on before somebody resumes it."""
    HANDED_OVER = "handed_over"
    """Nothing to wait for: the segment is over or the worker shuts down; call again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of one segment. `children` are subtasks that must run from now on."""

    outcome: Outcome
    failure: Failure | None = None
    children: tuple[UUID, ...] = ()
    wakes_at: datetime | None = None
