"""Claude's own memory tool: files below `/memories`, kept as entries of the task's memory."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from domain.errors import ToolInputError
from domain.memory.entries import GrantMode
from domain.memory.files import (
    MOST_FILES,
    ROOT,
    insert_text,
    missing,
    parse_path,
    replace_text,
    show_directory,
    show_file,
    text_of,
)
from domain.text import as_text
from domain.tools.calls import OnStarted, ToolInvocation, ToolOutcome
from tools.limits import ToolLimits
from tools.paths import Workspace

Edit = Callable[[Any], tuple[str, str]]
"""Makes the new text and the result from the present value; None: there is no file."""


class MemoryFileStore(Protocol):
    """The files of the users of a worker's executions.

    Each method takes the call and the key of a path. All raise ToolInputError if the change is
    refused. A call that a crash interrupted writes once.
    """

    async def read(self, call: ToolInvocation, key: str) -> Any | None:
        """Return the value of a file, or None if there is no such file."""
        ...

    async def list_below(self, call: ToolInvocation, key: str) -> Sequence[tuple[str, int]]:
        """Return up to `MOST_FILES` + 1 keys below a path with their sizes; all if it is empty."""
        ...

    async def edit(self, call: ToolInvocation, key: str, edit: Edit) -> str:
        """Change or create a file; return the result."""
        ...

    async def is_free(self, call: ToolInvocation, key: str) -> bool:
        """Whether a new file can have this path; also if this call has written it already."""
        ...

    async def delete(self, call: ToolInvocation, key: str) -> bool:
        """Delete a file, or all files below a path; return whether there were any."""
        ...

    async def rename(self, call: ToolInvocation, key: str, new: str) -> bool:
        """Move a file, or all files below a path; return whether there were any."""
        ...


class MemoryFiles:
    """Runs the tool for all executions of a worker."""

    def __init__(self, store: MemoryFileStore, limits: ToolLimits) -> None:
        """`store` checks nothing about paths; the tool does."""
        self._store = store
        self._limits = limits
        self._commands: Mapping[str, Callable[[ToolInvocation], Awaitable[str]]] = {
            "view": self._view,
            "create": self._create,
            "str_replace": self._replace,
            "insert": self._insert,
            "delete": self._delete,
            "rename": self._rename,
        }

    async def run(self, _: Workspace, call: ToolInvocation, on_started: OnStarted) -> ToolOutcome:
        """Run one command."""
        refuse_nul(call)
        command = call.input["command"]
        _require_access(call, "read" if command == "view" else "write")
        if command != "view":
            await on_started(None)
        return ToolOutcome(await self._commands[command](call))

    async def _view(self, call: ToolInvocation) -> str:
        path = call.input["path"]
        key = parse_path(path)
        value = await self._store.read(call, key) if key else None
        if value is not None:
            view_range = call.input.get("view_range")
            limit = self._limits.preview_bytes
            return show_file(path, as_text(value), view_range, most_bytes=limit)
        found = await self._store.list_below(call, key)
        if key and not found:
            raise missing(path)
        below = f"{key}/" if key else ""
        files = [(name.removeprefix(below), size) for name, size in found[:MOST_FILES]]
        return show_directory(path, files, is_cut=len(found) > MOST_FILES)

    async def _create(self, call: ToolInvocation) -> str:
        path = call.input["path"]
        key = _file_key(path)
        if not await self._store.is_free(call, key):
            raise ToolInputError(f"File {path} already exists")

        def create(value: Any) -> tuple[str, str]:
            if value is not None:
                raise ToolInputError(f"File {path} already exists")
            return call.input["file_text"], f"File created successfully at: {path}"

        return await self._store.edit(call, key, create)

    async def _replace(self, call: ToolInvocation) -> str:
        path = call.input["path"]
        return await self._store.edit(
            call, _file_key(path), lambda value: replace_text(text_of(value, path), call.input)
        )

    async def _insert(self, call: ToolInvocation) -> str:
        path = call.input["path"]
        return await self._store.edit(
            call, _file_key(path), lambda value: insert_text(text_of(value, path), call.input)
        )

    async def _delete(self, call: ToolInvocation) -> str:
        path = call.input["path"]
        key = parse_path(path)
        if not key:
            raise ToolInputError(f"Cannot delete the {ROOT} directory itself")
        if not await self._store.delete(call, key):
            raise ToolInputError(f"The path {path} does not exist")
        return f"Successfully deleted {path}"

    async def _rename(self, call: ToolInvocation) -> str:
        old, new = call.input["old_path"], call.input["new_path"]
        key, new_key = parse_path(old), _file_key(new)
        if not key:
            raise ToolInputError(f"Cannot rename the {ROOT} directory itself")
        if f"{new_key}/".startswith(f"{key}/") or not await self._store.is_free(call, new_key):
            raise ToolInputError(f"The destination {new} already exists")
        if not await self._store.rename(call, key, new_key):
            raise ToolInputError(f"The path {old} does not exist")
        return f"Successfully renamed {old} to {new}"


def _file_key(path: str) -> str:
    key = parse_path(path)
    if not key:
        raise ToolInputError(f"The path {path} is not a file.")
    return key


def _require_access(call: ToolInvocation, mode: GrantMode) -> None:
    files = call.memory.files
    refusal = "This task has no memory." if files is None else None
    if files is not None:
        refusal = call.memory.problem(files.namespace, mode)
    if refusal is not None:
        raise ToolInputError(refusal)


def refuse_nul(call: ToolInvocation) -> None:
    """Refuse what Postgres can't search. A backslash in a text is doubled in its JSON."""
    if "\\u0000" in json.dumps(dict(call.input)).replace("\\\\", ""):
        raise ToolInputError("The input contains NUL characters (\\u0000); remove them.")
