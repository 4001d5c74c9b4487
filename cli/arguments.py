"""Things found by their names, and variables given on the command line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cli.client import Gateway, Json
from cli.exits import CommandError


class VariableError(CommandError):
    """A variable can't be read."""


class TimeError(CommandError):
    """A time can't be read."""


class NoSuchThingError(CommandError):
    """Nothing has that name, or nobody can tell which is meant."""


@dataclass(frozen=True, slots=True)
class Named:
    """Things that are known by names, which are unique among those of one user.

    `is_searched`: their list takes words to look for, so that not all of it need be read.
    """

    what: str
    path: str
    commands: str
    is_searched: bool = False


TASK = Named("task", "/tasks", "tasks", is_searched=True)
TEMPLATE = Named("template", "/task-templates", "templates")
TOOL_GROUP = Named("tool group", "/tool-groups", "tool-groups")
MCP_SERVER = Named("MCP server", "/mcp-servers", "mcp-servers")


def find(gateway: Gateway, name_or_id: str, kind: Named = TASK) -> Json:
    """The thing with that id or that name: my own, before one that others share.

    Raises:
        NoSuchThingError: there is none, or several that others share.
    """
    if is_id(name_or_id):
        by_id: Json = gateway.get(f"{kind.path}/{name_or_id}")
        return by_id
    query = {"q": name_or_id[:200]} if kind.is_searched else {}
    named = [item for item in gateway.items(kind.path, **query) if item["name"] == name_or_id]
    if len(named) > 1:
        me = gateway.get("/me")["id"]
        named = [item for item in named if item["user_id"] == me] or named
    if len(named) > 1:
        ids = ", ".join(item["id"] for item in named)
        raise NoSuchThingError(
            f"Others share {len(named)} called {name_or_id!r}; give an id: {ids}"
        )
    if not named:
        raise NoSuchThingError(
            f"There is no {kind.what} {name_or_id!r}. `perdure {kind.commands} list` shows them."
        )
    return named[0]


def variables(assignments: Sequence[str], *, option: str = "-v") -> dict[str, Any]:
    """`name=text` and `name:=json` as a mapping; `option` is where they were given.

    Raises:
        VariableError: one is neither.
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not name.rstrip(":"):
            raise VariableError(f"{option} {assignment}: write name=text or name:=json")
        if not name.endswith(":"):
            given[name] = value
            continue
        try:
            given[name[:-1]] = json.loads(value)
        except ValueError as error:
            raise VariableError(f"{option} {assignment}: not JSON: {error}") from error
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


def is_id(text: str) -> bool:
    """Whether it is the id of something."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
