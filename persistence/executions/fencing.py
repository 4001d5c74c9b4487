"""The fencing token: which workflow run, segment and attempt may write an execution."""

from dataclasses import dataclass
from typing import Any

_KNOWN = "workflow_id = :workflow_id AND epoch = CAST(run_epochs ->> :run_id AS int)"

MAY_TAKE = f"{_KNOWN} AND (segment, attempt) < (:segment, :attempt)"
"""The condition on an execution: a known run of the newest epoch, and a segment and attempt that
have not written yet. The statement that hands the execution to a new writer uses it."""

MAY_END = f"{_KNOWN} AND (segment, attempt) <= (:segment, :attempt)"
"""As `MAY_TAKE`, but the present writer fulfils it too: its segment may write the end."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The writer: the workflow run, the segment it has reached, and the activity's attempt.

    `continued_run_id` is the run that continued as this one.
    """

    workflow_id: str
    run_id: str
    segment: int
    attempt: int
    last_message_seq: int
    is_reset: bool
    continued_run_id: str | None = None
    is_repeat: bool = False
    """The segment before this one was interrupted."""

    def token(self) -> dict[str, Any]:
        """The parameters of `MAY_TAKE` and `MAY_END`."""
        return {
            "workflow_id": self.workflow_id,
            "run_id": self.run_id,
            "segment": self.segment,
            "attempt": self.attempt,
        }
