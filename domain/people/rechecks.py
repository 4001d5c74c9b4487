"""Stale approvals: the model is asked again before a call runs that a person approved late.

A task names the tools in `human_input_policy.recheck_tools`. A stale approval does not run the
call: the model reads the changes, and if it makes the same call again, that one runs without
another question, once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

STALE_AFTER = timedelta(hours=1)
"""After this wait, what Perdure can't see may have changed as well (chosen)."""

RECHECK_TURNS = 10
"""In how many turns the model may look around before it repeats the call (chosen)."""

LISTED_FILES = 20
"""Paths that are named to the model (chosen)."""

RECHECKED = "The approval was stale, so the model was asked again."
"""The reason of a call that did not run for this."""

REPEATED = "A person approved this call before the model was asked again."
"""The reason of the same call, made again."""


@dataclass(frozen=True, slots=True)
class ApprovalAge:
    """The time and the changes between a call and its approval.

    `task_version` is the present version of the task, if it is another one than the execution's.
    `files` are the paths that other calls of the execution have written with file tools, and
    `other_calls` counts the other calls with effects, such as commands. `changed_files` are the
    other paths that were changed in the task's working directory.
    """

    waited: timedelta
    messages: int = 0
    task_version: int | None = None
    files: Sequence[str] = ()
    other_calls: int = 0
    changed_files: Sequence[str] = ()

    @property
    def is_stale(self) -> bool:
        """Whether the model must look again."""
        has_changes = self.messages or self.task_version or self.files or self.other_calls
        return bool(self.waited > STALE_AFTER or has_changes or self.changed_files)

    def describe(self, approved_input: str | None) -> str:
        """The result of the call that does not run, for the model."""
        changes = []
        if self.waited > STALE_AFTER:
            changes.append(f"a person answered after {_hours(self.waited)}")
        if self.messages:
            changes.append(f"{self.messages} new message(s) came from people")
        if self.task_version:
            changes.append(f"the task was edited (version {self.task_version})")
        if self.files:
            changes.append(f"other calls have written {_list_files(self.files)}")
        if self.changed_files:
            changes.append(f"the working directory has changed: {_list_files(self.changed_files)}")
        if self.other_calls:
            changes.append(f"{self.other_calls} other call(s) with effects have run")
        edited = "" if approved_input is None else f" The approved input is: {approved_input}"
        return (
            f"A person approved this call, but it has not run, because since you made it "
            f"{', and '.join(changes)}. Check whether it is still right in the present state. If "
            f"so, make the same call again: it runs without another question.{edited}"
        )


def _list_files(files: Sequence[str]) -> str:
    listed = ", ".join(files[:LISTED_FILES])
    left_out = len(files) - LISTED_FILES
    return f"{listed} and {left_out} more" if left_out > 0 else listed


def is_same_input(one: str, other: str) -> bool:
    """Whether two JSON texts have the same value; the order of keys does not matter."""
    return one == other or _sort_keys(one) == _sort_keys(other)


def _sort_keys(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)  # in Python, 1 and true are equal
    except (ValueError, RecursionError):
        return text


def _hours(waited: timedelta) -> str:
    hours = waited / timedelta(hours=1)
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004 - two days
