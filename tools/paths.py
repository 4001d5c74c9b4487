"""A workspace, and the places in it that the model names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.workspace_paths import Identity, Place, place_below


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace's directory, a private one, and the user its files belong to.

    `identity` is that of a directory which others could move away and put a link in its place.
    """

    root: Path
    private: Path
    owner: int | None
    identity: Identity | None = None

    def give(self, file: int) -> None:
        """Make an open file or directory the workspace's own."""
        if self.owner is not None:
            os.fchown(file, self.owner, self.owner)


@contextmanager
def place_of(workspace: Workspace, path: str, *, make_directories: bool = False) -> Iterator[Place]:
    """Where a path leads; new directories on the way belong to the workspace.

    Raises:
        WorkspacePathError: it leads out of the workspace, or something on the way is missing.
    """
    on_made = workspace.give if make_directories else None
    with place_below(workspace.root, path, on_made=on_made, identity=workspace.identity) as place:
        yield place
