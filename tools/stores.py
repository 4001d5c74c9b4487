"""What the tools read and write in the database and the artifact store."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from tools.artifacts import ArtifactStore
from tools.memory import MemoryStore
from tools.snapshots.restoring import SnapshotStore

UserRoom = Callable[[UUID], Awaitable[int | None]]
"""How many bytes more a user may store; None if there is no limit."""


async def _without_limit(_: UUID) -> None:
    """No user has a limit."""


@dataclass(frozen=True, slots=True)
class ToolStores:
    """What tools read and write outside of the workspaces.

    `room` returns how many bytes more a user may store. Without `memory` or `artifacts`, there are
    no tools that read them. Without `snapshots`, workspaces are not saved.
    """

    room: UserRoom = _without_limit
    memory: MemoryStore | None = None
    artifacts: ArtifactStore | None = None
    snapshots: SnapshotStore | None = None
