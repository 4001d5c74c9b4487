"""Finds what was changed in a directory since a time. Blocking: call it in a thread."""

import os
import posixpath
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from stat import S_ISDIR

from tools.output import printable
from tools.paths import Workspace, place_of

_VISITED_ENTRIES = 100_000
"""Most entries that are looked at (chosen: about one second)."""

_DEEPEST = 200
"""Levels of directories that are looked at; each keeps a file open (chosen)."""

_LONGEST_SECONDS = 1.0
"""Processor time: it competes with the worker's event loop (chosen)."""

_IN_REPOSITORY = {"HEAD", "packed-refs", "refs"}
"""What is looked at in `.git`: editors rewrite other files there although nothing has changed."""


def list_changed(workspace: Workspace, since: datetime) -> Sequence[str]:
    """Paths that were changed, created, renamed or made shorter by a deletion, without links.

    Directories end in a slash. It compares the times of the last change of the inodes, which
    programs can't set. What is not reached within the limits is left out.
    """
    with place_of(workspace, ".") as place:
        directory = place.open_directory()
        try:
            return [
                printable(path)
                for path in _list_changed(directory, since.timestamp())
                if not workspace.hides(posixpath.normpath(posixpath.join(place.path, path)))
            ]
        finally:
            os.close(directory)


def _list_changed(directory: int, since: float) -> Iterator[str]:
    end, visited = time.thread_time() + _LONGEST_SECONDS, 0
    if os.fstat(directory).st_ctime > since:
        yield "./"
    for above, below, files, opened in os.fwalk(".", dir_fd=directory):
        if posixpath.basename(above) == ".git":
            below[:] = [name for name in below if name in _IN_REPOSITORY]
            files[:] = [name for name in files if name in _IN_REPOSITORY]
        for name in sorted([*files, *below]):
            visited += 1
            if visited > _VISITED_ENTRIES or time.thread_time() > end:
                return
            with suppress(OSError):  # deleted, or in a directory that the worker may not search
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
                if status.st_ctime > since and name != ".git":
                    slash = "/" if S_ISDIR(status.st_mode) else ""
                    yield posixpath.normpath(posixpath.join(above, name)) + slash
        if above.count("/") == _DEEPEST:
            below.clear()
