"""Memory: knowledge that outlives an execution, as entries with a namespace and a key."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import product
from typing import Any, Literal, Self, cast

from domain.text import as_text

NAMESPACE = r"^[^\s/:?#%]+(:[^\s/:?#%]+)+$"
"""Parts joined by colons, such as `user:alice` or `project:x:decisions`."""

LONGEST_NAMESPACE = 200

KEY = r"^[^\s/?#%][^/?#%\x00-\x1f]*(/[^/?#%\x00-\x1f]+)*$"
"""One name, or a path of names: Claude's memory tool writes files in directories."""

LONGEST_KEY = 255

HISTORY = "history"
"""The path of an entry's history ends with it, so the last name of a path can't be this word."""

MOST_VALUE_BYTES = 256 * 1024
"""Of one value as JSON (chosen: a longer text is an artifact)."""

SEARCHED_BYTES = 100_000
"""Of the text of a value that is searched (a vector of Postgres holds 1 MB, and stores words of
two dictionaries with their positions)."""

MOST_FOUND = 100
"""Entries that one search of a model returns."""

LONGEST_QUERY = 1_000

EPISODIC_LIFETIME = timedelta(days=90)
"""From its last write, unless the writer says otherwise (other memory servers use 90 days)."""

GrantMode = Literal["read", "write"]

MAX_TASK_NAMESPACES = 20
"""Of one task (chosen: the model reads the list in the description of each memory tool)."""

SET_MEMORY = (
    'The task needs a list of namespaces, such as "memory": {"namespaces": [{"namespace": '
    '"project:x", "mode": "write"}]}.'
)
"""What is needed for the memory tools to be offered."""


class MemoryType(StrEnum):
    """What kind of knowledge an entry holds."""

    SEMANTIC = "semantic"
    """Facts."""
    EPISODIC = "episodic"
    """What happened; such entries expire."""
    PROCEDURAL = "procedural"
    """How something is done."""


class MemoryAction(StrEnum):
    """What an execution did with a version of an entry."""

    READ = "read"
    FOUND = "found"
    """A search returned the beginning of its value."""
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


def namespace_problem(namespace: str) -> str | None:
    """Why a text is not a namespace, and what to write, or None."""
    if len(namespace) > LONGEST_NAMESPACE:
        return f"Use at most {LONGEST_NAMESPACE} characters."
    if re.fullmatch(NAMESPACE, namespace) is None:
        return (
            "Join at least two parts with a colon, such as user:alice or project:x:decisions, "
            "without spaces and without / ? # %."
        )
    return None


def key_problem(key: str) -> str | None:
    """Why a text is not a key, and what to write, or None."""
    if len(key) > LONGEST_KEY:
        return f"Use at most {LONGEST_KEY} characters."
    *parents, name = key.split("/")
    if re.fullmatch(KEY, key) is None or {".", ".."} & {*parents, name}:
        return (
            "Use a name, or names joined by single slashes, without ? # % and control characters."
        )
    if parents and name == HISTORY:
        return f"A path can't end with /{HISTORY}; choose another name."
    return None


def is_covered(namespace: str, by: str) -> bool:
    """Whether a namespace is this one or below it: `user:alice2` is not below `user:alice`."""
    return namespace == by or namespace.startswith(by.rstrip(":") + ":")


def searchable_text(value: Any) -> str:
    """Return the words of a value: its texts, numbers and keys, up to `SEARCHED_BYTES`."""
    text = value if isinstance(value, str) else " ".join(_words(value))
    return text.encode("utf-8", "replace")[:SEARCHED_BYTES].decode("utf-8", "ignore")


def _words(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            pending += reversed([part for pair in current.items() for part in pair])
        elif isinstance(current, list):
            pending += reversed(current)
        elif current is not None:
            yield current if isinstance(current, str) else json.dumps(current)


@dataclass(frozen=True, slots=True)
class NamespaceAccess:
    """A namespace with those below it. `write` includes reading."""

    namespace: str
    mode: GrantMode = "read"

    def __str__(self) -> str:
        return f"{self.namespace} ({'read and write' if self.mode == 'write' else 'read'})"


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """Which namespaces of its user an execution may use."""

    namespaces: Sequence[NamespaceAccess] = ()

    @classmethod
    def parse(cls, stored: Sequence[Mapping[str, str]]) -> Self:
        """Read what `as_json` returned."""
        return cls(
            tuple(NamespaceAccess(n["namespace"], cast("GrantMode", n["mode"])) for n in stored)
        )

    def __bool__(self) -> bool:
        return bool(self.namespaces)

    def as_json(self) -> Sequence[Mapping[str, str]]:
        """Return the namespaces as they are pinned."""
        return [{"namespace": n.namespace, "mode": n.mode} for n in self.namespaces]

    def describe(self) -> str:
        """Return the namespaces as a model reads them."""
        return ", ".join(map(str, self.namespaces))

    def intersection(self, other: "MemoryAccess") -> "MemoryAccess":
        """What both permit, in the order of this one."""
        found: dict[str, NamespaceAccess] = {}
        for one, two in product(self.namespaces, other.namespaces):
            narrow = one if is_covered(one.namespace, two.namespace) else two
            if not is_covered(narrow.namespace, one.namespace):
                continue
            mode: GrantMode = "write" if one.mode == two.mode == "write" else "read"
            before = found.get(narrow.namespace)
            if before is None or mode == "write":
                found[narrow.namespace] = NamespaceAccess(narrow.namespace, mode)
        return MemoryAccess(tuple(found.values()))

    @property
    def files(self) -> NamespaceAccess | None:
        """Where the tool `memory` has its files: the first namespace that may be written."""
        writable = (n for n in self.namespaces if n.mode == "write")
        return next(writable, next(iter(self.namespaces), None))

    def problem(self, namespace: str, mode: GrantMode) -> str | None:
        """Why the execution may not use a namespace in this way, as a sentence, or None."""
        modes = {n.mode for n in self.namespaces if is_covered(namespace, n.namespace)}
        if "write" in modes or (mode == "read" and modes):
            return None
        if modes:
            return f"This task may read {namespace!r}, but not write it. It has: {self.describe()}."
        return f"This task has no namespace {namespace!r:.250}. It has: {self.describe()}."


NO_MEMORY = MemoryAccess()


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """An entry as the tools show it. `value` is text or another JSON value, null if deleted."""

    namespace: str
    key: str
    version: int
    memory_type: str
    value: Any
    written_at: datetime

    @property
    def text(self) -> str:
        """The value as text."""
        return as_text(self.value)

    def describe(self) -> str:
        """Where it is, and which version this is."""
        time = self.written_at.isoformat(timespec="seconds")
        return (
            f"{self.namespace} {self.key} "
            f"(version {self.version}, {self.memory_type}, written {time})"
        )
