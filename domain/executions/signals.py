"""Signals to an execution, and what the loop reads of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.executions.steps import ChildResult, OpenRequest


class SignalKind(StrEnum):
    """The kinds of signals."""

    START = "start"
    ANSWER = "answer"
    MESSAGE = "message"
    INTERRUPT = "interrupt"
    """Stops the work in progress, so that the model reads the message before it now."""
    CANCEL = "cancel"
    FINISH = "finish"
    """A person asks the execution to answer now. It is unread until the end."""
    REQUEST_CHANGED = "request_changed"
    """An open input request has another due time, or was opened again."""
    PAUSE = "pause"
    RESUME = "resume"
    SUBTASK_FINISHED = "subtask_finished"
    ENDED = "ended"
    """A request ended an external execution. It is unread until the workflow knows of the end."""
    BUDGET_RELEASED = "budget_released"
    """Reservations were settled; a call that waited for them may fit now."""
    PLAN_CHANGED = "plan_changed"
    """The steps of a plan that runs were changed, or retried."""


@dataclass(frozen=True, slots=True)
class Signal:
    """An unread signal to the execution (answer, message, cancel, pause …): a row of `signals`."""

    id: UUID
    kind: str
    """A `SignalKind`, or a kind that only a later version knows."""
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inbox:
    """The unread signals, with the requests and subtasks that they refer to."""

    signals: Sequence[Signal] = ()
    answered: Sequence[OpenRequest] = ()
    children: Sequence[ChildResult] = ()
    """The subtasks that the signals name, and the others of their tool calls; all at a finish."""
    is_pause_requested: bool = False
    """As `Snapshot.is_pause_requested`, and at least as new as the signals."""
