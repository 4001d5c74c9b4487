"""The fencing token: which workflow run, segment and attempt may write an execution."""

from dataclasses import dataclass
from typing import Any

HOLDS = """
    workflow_id = :workflow_id AND epoch = CAST(run_epochs ->> :run_id AS int)
    AND (segment, attempt) < (:segment, :attempt)
"""
"""The condition on an execution: a known run of the newest epoch, and a segment and attempt that
have not written yet. Statements that hand the execution to a new writer use it."""


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
        """The parameters of `HOLDS`."""
        return {
            "workflow_id": self.workflow_id,
            "run_id": self.run_id,
            "segment": self.segment,
            "attempt": self.attempt,
        }
