"""The states of an execution and the transitions between them."""

from enum import StrEnum

from domain.errors import TransitionRefusedError


class ExecutionStatus(StrEnum):
    """The status of an execution. The last three are terminal and never change."""

    PENDING = "pending"
    BLOCKED = "blocked"
    RUNNING = "running"
    WAITING_FOR_USER = "waiting_for_user"
    WAITING_FOR_SUBTASK = "waiting_for_subtask"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True for completed, failed and cancelled."""
        return self in TERMINAL


TERMINAL = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
"""States that never change; only an operator's reset in Temporal reopens one."""

ACTIVE = frozenset(ExecutionStatus) - TERMINAL - {ExecutionStatus.BLOCKED}
"""States that hold the session: a session has at most one execution in one of them."""

PREREQUISITES = "prerequisites"
"""Why an execution is blocked that waits for others to be completed."""

WORKER_BLOCKED = "worker_blocked"
"""Why an external execution is blocked whose worker could not continue; a resume ends it."""

_LIVE = {
    ExecutionStatus.RUNNING,
    ExecutionStatus.WAITING_FOR_USER,
    ExecutionStatus.WAITING_FOR_SUBTASK,
    ExecutionStatus.PAUSED,
}
_ENDS = {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}

TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.BLOCKED: frozenset({ExecutionStatus.PENDING} | _ENDS),
    ExecutionStatus.PENDING: frozenset({ExecutionStatus.RUNNING} | _ENDS),
    # Only an external execution changes to pending (its lease ended, or the work needs revision) or
    # to blocked (its worker could not continue).
    ExecutionStatus.RUNNING: frozenset(
        _LIVE - {ExecutionStatus.RUNNING}
        | {ExecutionStatus.PENDING, ExecutionStatus.BLOCKED, ExecutionStatus.COMPLETED}
        | _ENDS
    ),
    ExecutionStatus.WAITING_FOR_USER: frozenset(_LIVE - {ExecutionStatus.WAITING_FOR_USER} | _ENDS),
    ExecutionStatus.WAITING_FOR_SUBTASK: frozenset(
        _LIVE - {ExecutionStatus.WAITING_FOR_SUBTASK} | _ENDS
    ),
    ExecutionStatus.PAUSED: frozenset(_LIVE - {ExecutionStatus.PAUSED} | _ENDS),
    ExecutionStatus.COMPLETED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
    ExecutionStatus.CANCELLED: frozenset(),
}
"""From each state, the states it may change to."""


def may_move(before: ExecutionStatus, after: ExecutionStatus) -> bool:
    """Whether an execution in `before` may become `after`."""
    return after in TRANSITIONS[before]


def states_before(after: ExecutionStatus) -> frozenset[ExecutionStatus]:
    """The states that may change to `after`."""
    return frozenset(before for before in ExecutionStatus if may_move(before, after))


def require_transition(before: ExecutionStatus, after: ExecutionStatus) -> None:
    """Check a change of state.

    Raises:
        TransitionRefusedError: `TRANSITIONS` does not allow it.
    """
    if not may_move(before, after):
        raise TransitionRefusedError(f"An execution that is {before} can't become {after}.")
