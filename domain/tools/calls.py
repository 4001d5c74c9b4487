"""The values of one tool call: the tool, the call and its outcome."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from domain.mcp.remote_waits import RemoteWait
from domain.memory.entries import NO_MEMORY, MemoryAccess
from domain.text import clean
from domain.web.connections import NO_CONNECTIONS, ConnectionLog
from domain.web.network import NO_NETWORK, NetworkList
from domain.workspaces.snapshots import FIRST_VERSION, WorkspaceVersion


class ToolEffect(StrEnum):
    """What a call can change; it decides what happens to a call that a crash interrupted."""

    READ_ONLY = "read_only"
    IDEMPOTENT = "idempotent"
    WORKSPACE = "workspace"
    """Changes only the session's own directory: it runs in the sandbox, without network."""
    EXTERNAL = "external"
    """Can change anything else."""

    @classmethod
    def _missing_(cls, value: object) -> "ToolEffect | None":
        """Earlier versions recorded `effectful` for calls with any effect."""
        return cls.EXTERNAL if value == "effectful" else None

    @property
    def is_repeatable(self) -> bool:
        """Whether a second run changes nothing."""
        return self in (ToolEffect.READ_ONLY, ToolEffect.IDEMPOTENT)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as it is described to the model, and its effect class.

    `known_type` is the type of a tool of the Messages API: the model knows it without a description
    or a schema.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    effect: ToolEffect
    known_type: str | None = None

    def definition(self) -> Mapping[str, Any]:
        """The tool as it is sent to the model."""
        if self.known_type is not None:
            return {"type": self.known_type, "name": self.name}
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": self.input_schema,
        }


class PathRules(Protocol):
    """The rules of the task for the paths that one call reaches through links and directories."""

    def problem(self, path: str) -> str | None:
        """Why the call may not use this path, to which its own path leads, or None."""
        ...

    def hides(self, path: str) -> bool:
        """Whether a rule restricts this path, which is below the path of the call."""
        ...


class HostRules(Protocol):
    """The rules of the task for the hosts to which one call is redirected."""

    def problem(self, host: str) -> str | None:
        """Why the call may not send a request to this host, or None."""
        ...


@dataclass(frozen=True, slots=True)
class ToolInvocation:
    """A call to run. Its `input` matches the tool's schema.

    It runs in the session's directory, or in the task's `working_directory`.
    """

    execution_id: UUID
    session_id: UUID
    tool_use_id: str
    name: str
    input: Mapping[str, Any]
    workspace: WorkspaceVersion = FIRST_VERSION
    working_directory: str | None = None
    path_rules: PathRules | None = None
    host_rules: HostRules | None = None
    network: NetworkList = NO_NETWORK
    """The hosts that the call may connect to."""
    memory: MemoryAccess = NO_MEMORY
    """The namespaces that the call may use."""
    user_id: UUID = field(kw_only=True)
    """The user whose share of the processors the call takes."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process group on a host. `started_ticks` (/proc/PID/stat) distinguishes a reused pid."""

    host_id: str
    process_group: int
    started_ticks: int


OnStarted = Callable[[ProcessIdentity | None], Awaitable[None]]
"""Awaited before a tool has an effect, with its held process group, or None for a tool that runs in
our process. If it raises, the tool does not run and its group is ended."""


MAX_PROGRESS_CHARACTERS = 300
"""Of a message about progress: about three lines on a terminal (chosen)."""


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """How far a call is, as its server describes it: `progress` of `total`, and a message."""

    progress: float | None = None
    total: float | None = None
    message: str | None = None

    def as_json(self) -> dict[str, float | str]:
        """Return what is known: finite numbers, and a message of limited length."""
        numbers = {"progress": self.progress, "total": self.total}
        known: dict[str, float | str] = {
            name: value for name, value in numbers.items() if value is not None and isfinite(value)
        }
        message = clean(self.message or "")[:MAX_PROGRESS_CHARACTERS]
        return {**known, "message": message} if message else known


OnProgress = Callable[[ToolProgress], None]
"""Receives the progress of a call while it runs."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file to save as an artifact; `path` is a copy that the store may move."""

    name: str
    media_type: str
    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The outcome of a tool call.

    `text` is sent to the model: valid Unicode, without NUL, limited in length. If the output is
    longer or is not text, `whole_output` is a file with all of it, for the store.
    """

    text: str
    is_error: bool = False
    whole_output: SavedFile | None = None
    artifacts: Sequence[SavedFile] = field(default_factory=tuple)
    is_changed: bool = False
    """Whether the tool was not called, because it is not the one that was pinned."""
    connections: ConnectionLog = NO_CONNECTIONS
    """What the tool connected to."""
    wait: RemoteWait | None = None
    """Set if there is no outcome yet."""
