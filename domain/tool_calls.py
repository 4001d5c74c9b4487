"""The values of one tool call: what a tool is, what it was asked, what it gave back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID


class ToolEffect(StrEnum):
    """What a second run would do; decides what happens after a crash with unknown outcome."""

    READ_ONLY = "read_only"
    IDEMPOTENT = "idempotent"
    EFFECTFUL = "effectful"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it, and its effect class."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    effect: ToolEffect


@dataclass(frozen=True, slots=True)
class ToolInvocation:
    """One call to run: `input` is an object that already satisfies the tool's schema.

    It works in its session's directory, which for a fork begins as a copy of another session's, or
    in `working_directory` where the task has one.
    """

    execution_id: UUID
    session_id: UUID
    tool_use_id: str
    name: str
    input: Mapping[str, Any]
    forked_from_session_id: UUID | None = None
    working_directory: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process group on a host. `started_ticks`, of /proc/PID/stat, tells a reused pid apart."""

    host_id: str
    process_group: int
    started_ticks: int


OnStarted = Callable[[ProcessIdentity | None], Awaitable[None]]
"""Awaited just before a tool takes effect: with the process group that is held at its gate, or None
for a tool that runs in our process. If it raises, the tool does not run and its group is ended."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file a tool wants kept as an artifact; `path` is a copy that the receiver takes over."""

    name: str
    media_type: str
    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a tool gave back.

    `text` is what the model sees: valid Unicode, no NUL, within the preview cap. When the whole
    output is larger or is not text, `whole_output` holds it as a file for the store.
    """

    text: str
    is_error: bool = False
    whole_output: SavedFile | None = None
    artifacts: Sequence[SavedFile] = field(default_factory=tuple)
