"""Why `call_claude` stopped."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.executions.states import ExecutionStatus
from domain.executions.steps import Failure


class Outcome(StrEnum):
    """The reason, from which the workflow decides what to do next."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NEEDS_INPUT = "needs_input"
    NEEDS_SUBTASKS = "needs_subtasks"
    WAIT_UNTIL = "wait_until"
    """For a delay of the provider, or a timer of the model."""
    PAUSED = "paused"
    """The execution is paused until it is resumed."""
    HANDED_OVER = "handed_over"
    """The segment is over, or the worker shuts down: call `call_claude` again."""
    ELSEWHERE = "elsewhere"
    """The workspace is on another host: call `call_claude` there."""


ENDS: Mapping[Outcome, ExecutionStatus] = {
    Outcome.DONE: ExecutionStatus.COMPLETED,
    Outcome.FAILED: ExecutionStatus.FAILED,
    Outcome.CANCELLED: ExecutionStatus.CANCELLED,
}
"""The terminal status each outcome leads to, unless an unread message has to be handled first."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of one segment. `children` are subtasks to start, if they don't run already."""

    outcome: Outcome
    failure: Failure | None = None
    children: tuple[UUID, ...] = ()
    wakes_at: datetime | None = None
