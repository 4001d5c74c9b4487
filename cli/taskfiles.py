"""Tasks kept as files, tasks found by name, and variables given on the command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from cli.client import Gateway, Json
from cli.exits import CommandError

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


class TaskFileError(CommandError):
    """A file or a variable can't be read as what it should be."""


class NoSuchTaskError(CommandError):
    """No task has that name."""


def is_file(task_or_file: str) -> bool:
    """Whether the argument means a file: it ends like one, or there is one."""
    path = Path(task_or_file)
    return path.suffix in SUFFIXES or path.is_file()


def read(path: Path) -> Json:
    """The task in a file; `allowed_tools` and `sdk_options` may be left out.

    Raises:
        TaskFileError: there is no such file, or no task in it.
    """
    try:
        task = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TaskFileError(f"{path} can't be read: {error}") from error
    if not isinstance(task, dict) or not task.get("name"):
        raise TaskFileError(f"{path} holds no task: it needs at least a name, a prompt_template.")
    return {"allowed_tools": [], "sdk_options": {}, **task}


def apply(gateway: Gateway, task: Json) -> Json:
    """Make the task with that name what the file says; unchanged, it keeps its version."""
    there = _by_name(gateway, task["name"])
    if there is None:
        made: Json = gateway.post("/tasks", task)
        return made
    if all(there.get(name) == value for name, value in task.items()):
        return there
    changed: Json = gateway.patch(f"/tasks/{there['id']}", task)
    return changed


def find(gateway: Gateway, name_or_id: str) -> Json:
    """The task with that id or that name.

    Raises:
        NoSuchTaskError: there is none.
    """
    if _is_id(name_or_id):
        task: Json = gateway.get(f"/tasks/{name_or_id}")
        return task
    found = _by_name(gateway, name_or_id)
    if found is None:
        raise NoSuchTaskError(f"There is no task {name_or_id!r}. `perdure tasks list` shows them.")
    return found


def variables(assignments: Sequence[str]) -> dict[str, Any]:
    """`name=text` and `name:=json` as a mapping.

    Raises:
        TaskFileError: one is neither.
    """
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or not name.rstrip(":"):
            raise TaskFileError(f"-v {assignment}: write name=text or name:=json")
        if not name.endswith(":"):
            given[name] = value
            continue
        try:
            given[name[:-1]] = json.loads(value)
        except ValueError as error:
            raise TaskFileError(f"-v {assignment}: not JSON: {error}") from error
    return given


def _by_name(gateway: Gateway, name: str) -> Json | None:
    cursor = None
    while True:
        page = gateway.get("/tasks", q=name, page_size=100, cursor=cursor)
        named = next((task for task in page["items"] if task["name"] == name), None)
        cursor = page.get("next_cursor")
        if named is not None or cursor is None:
            return named


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
