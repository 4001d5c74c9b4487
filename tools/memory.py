"""The memory tools: entries in the namespaces that the task lists."""

from collections.abc import Sequence
from typing import Protocol

from domain.errors import ToolInputError
from domain.memory.entries import GrantMode, MemoryRecord, key_problem, namespace_problem
from domain.tools.calls import OnStarted, ToolInvocation, ToolOutcome
from tools.limits import ToolLimits
from tools.memory_files import MemoryFileStore, refuse_nul
from tools.paths import Workspace

_FOUND = 20
"""Entries of a search, unless the model asks for another number (chosen)."""

_EXCERPT_CHARACTERS = 300
"""Of the value of an entry in a search: 100 entries are about 8,000 tokens."""


class MemoryStore(Protocol):
    """The memory of the users of a worker's executions.

    Each method takes the call, whose input matches the tool's schema. All raise ToolInputError if
    the entry or the change is refused. A call that a crash interrupted writes once.
    """

    @property
    def files(self) -> MemoryFileStore:
        """The files of Claude's own memory tool."""
        ...

    async def get(self, call: ToolInvocation) -> MemoryRecord:
        """Return an entry."""
        ...

    async def search(self, call: ToolInvocation, limit: int) -> Sequence[MemoryRecord]:
        """Return entries in the namespaces of the call, best or newest first."""
        ...

    async def add(self, call: ToolInvocation) -> int:
        """Write a new entry; return its version."""
        ...

    async def update(self, call: ToolInvocation) -> int:
        """Change an entry; return its version."""
        ...

    async def delete(self, call: ToolInvocation) -> None:
        """Delete an entry."""


class MemoryTools:
    """Runs the memory tools for all executions of a worker."""

    def __init__(self, store: MemoryStore, limits: ToolLimits) -> None:
        """`store` checks nothing about namespaces; the tools do."""
        self._store = store
        self._limits = limits

    async def get(self, _: Workspace, call: ToolInvocation, __: OnStarted) -> ToolOutcome:
        """Return an entry, or a part of it."""
        _check(call, "read")
        record = await self._store.get(call)
        return ToolOutcome(self._show(record, call.input.get("offset", 0)))

    def _show(self, record: MemoryRecord, offset: int) -> str:
        text = record.text
        rest = text[offset:].encode("utf-8", "replace")
        shown = rest[: self._limits.preview_bytes].decode("utf-8", "ignore")
        end = offset + len(shown)
        lines = [record.describe(), "", shown or "(no text here)"]
        if offset or end < len(text):
            more = f" Continue with offset {end}." if end < len(text) else ""
            lines.append(f"\n(… Characters {offset:,} to {end:,} of {len(text):,}.{more} …)")
        return "\n".join(lines)

    async def search(self, _: Workspace, call: ToolInvocation, __: OnStarted) -> ToolOutcome:
        """Return entries with the beginnings of their values."""
        refuse_nul(call)
        limit = call.input.get("limit", _FOUND)
        found = await self._store.search(call, limit)
        if not found:
            return ToolOutcome(
                "Nothing was found. Try other words, or a shorter namespace_prefix. You may use: "
                f"{call.memory.describe()}."
            )
        lines = [f"{record.describe()}: {_excerpt(record.text)}" for record in found]
        if len(found) == limit:
            lines.append(f"(… These are the first {limit}; there may be more …)")
        return ToolOutcome("\n".join(lines))

    async def add(self, _: Workspace, call: ToolInvocation, on_started: OnStarted) -> ToolOutcome:
        """Write a new entry."""
        _check(call, "write")
        await on_started(None)
        return _report_version(call, await self._store.add(call))

    async def update(
        self, _: Workspace, call: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        """Change an entry."""
        _check(call, "write")
        await on_started(None)
        return _report_version(call, await self._store.update(call))

    async def delete(
        self, _: Workspace, call: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        """Delete an entry."""
        _check(call, "write")
        await on_started(None)
        await self._store.delete(call)
        return ToolOutcome(f"Deleted {call.input['namespace']} {call.input['key']}.")


def _check(call: ToolInvocation, mode: GrantMode) -> None:
    """Refuse what is no namespace or key, and a namespace that the call may not use.

    Raises:
        ToolInputError: what is wrong, and what to do.
    """
    refuse_nul(call)
    namespace, key = call.input["namespace"], call.input["key"]
    for field, problem in (
        ("namespace", namespace_problem(namespace)),
        ("key", key_problem(key)),
    ):
        if problem is not None:
            raise ToolInputError(f"The {field} is invalid. {problem}")
    if (refusal := call.memory.problem(namespace, mode)) is not None:
        raise ToolInputError(refusal)


def _report_version(call: ToolInvocation, version: int) -> ToolOutcome:
    entry = f"{call.input['namespace']} {call.input['key']}"
    return ToolOutcome(f"Stored {entry} as version {version}.")


def _excerpt(text: str) -> str:
    line = " ".join(text[: 2 * _EXCERPT_CHARACTERS].split())
    is_cut = len(text) > 2 * _EXCERPT_CHARACTERS or len(line) > _EXCERPT_CHARACTERS
    return f"{line[:_EXCERPT_CHARACTERS]}…" if is_cut else line
