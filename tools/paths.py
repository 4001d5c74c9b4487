"""A workspace, and paths in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.errors import WorkspacePathError
from domain.tools.calls import PathRules
from domain.workspaces.paths import Identity, Place, place_below


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace's directory, a private directory, and the user that owns its files.

    `identity` is set for a directory that other users could replace with a link.
    """

    root: Path
    private: Path
    owner: int | None
    identity: Identity | None = None
    rules: PathRules | None = None
    """The rules for the paths of the current call."""
    user_room: int | None = None
    """How many bytes more the user may store; None if there is no limit."""

    def hides(self, path: str) -> bool:
        """Whether a rule restricts a path below that of the current call."""
        return self.rules is not None and self.rules.hides(path)

    def give(self, file: int) -> None:
        """Make the workspace's user the owner of an open file or directory."""
        if self.owner is not None:
            os.fchown(file, self.owner, self.owner)


@contextmanager
def place_of(workspace: Workspace, path: str, *, make_directories: bool = False) -> Iterator[Place]:
    """Resolve a path; the workspace's user owns new directories on it.

    Raises:
        WorkspacePathError: it leads out of the workspace or to a path that the rules restrict, or a
            part of it is missing.
    """
    on_made = workspace.give if make_directories else None
    with place_below(workspace.root, path, on_made=on_made, identity=workspace.identity) as place:
        if workspace.rules is not None and (problem := workspace.rules.problem(place.path)):
            raise WorkspacePathError(problem)
        yield place
