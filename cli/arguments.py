"""Tasks found by name, and variables given on the command line."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cli.client import Gateway, Json
from cli.exits import CommandError


class VariableError(CommandError):
    """A variable can't be read."""


class TimeError(CommandError):
    """A time can't be read."""


class NoSuchTaskError(CommandError):
    """No task has that name."""


def find(gateway: Gateway, name_or_id: str) -> Json:
    """The task with that id or that name.

    Raises:
        NoSuchTaskError: there is none.
    """
    if _is_id(name_or_id):
        task: Json = gateway.get(f"/tasks/{name_or_id}")
        return task
    named = gateway.items("/tasks", q=name_or_id[:200])
    found = next((task for task in named if task["name"] == name_or_id), None)
    if found is None:
        raise NoSuchTaskError(f"There is no task {name_or_id!r}. `perdure tasks list` shows them.")
    return found


def variables(assignments: Sequence[str]) -> dict[str, Any]:
    """`name=text` and `name:=json` as a mapping.

    Raises:
        VariableError: one is neither.
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not name.rstrip(":"):
            raise VariableError(f"-v {assignment}: write name=text or name:=json")
        if not name.endswith(":"):
            given[name] = value
            continue
        try:
            given[name[:-1]] = json.loads(value)
        except ValueError as error:
            raise VariableError(f"-v {assignment}: not JSON: {error}") from error
    return given


def time(text: str) -> str:
    """A date or a time of the ISO form as the API takes it; without a zone it is UTC.

    Raises:
        TimeError: it is none.
    """
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise TimeError(f"{text!r} is no time; write 2026-01-31 or 2026-01-31T09:00:00Z") from error
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).isoformat()


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
