"""Lists the files of a workspace. Blocking: call it in a thread."""

import os
import posixpath
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import islice
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

from tools.limits import ToolLimits
from tools.output import printable
from tools.paths import Workspace, place_of

_SHOWN_ENTRIES = 1000
"""Most entries in a result (chosen: about 8,000 tokens)."""

_VISITED_ENTRIES = 100_000
"""Most entries that one call reads (chosen: about one second)."""

_DEFAULT_DEPTH = 2
_DEFAULT_GLOB_DEPTH = 10
_NOT_ENTERED = ".git"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


_LONGEST_SECONDS = 1.0
"""Processor time of one call: it competes with the worker's event loop (chosen)."""


def list_files(workspace: Workspace, tool_input: Mapping[str, Any], limits: ToolLimits) -> str:
    """One entry per line, sorted, with sizes; directories end in a slash, links show a target."""
    glob = tool_input.get("glob")
    depth = tool_input.get("depth", _DEFAULT_GLOB_DEPTH if glob else _DEFAULT_DEPTH)
    with place_of(workspace, tool_input.get("path", ".")) as place:
        directory = place.open_directory()
        try:
            visited = _Visits(_entries(directory, (), depth))
            matching = (
                line
                for path, line in visited
                if (glob is None or matches(glob, path))
                and not workspace.hides(posixpath.join(place.path, *path))
            )
            shown, fit = _fitting(matching, limits.preview_bytes)
        finally:
            os.close(directory)
    if not (fit and visited.are_complete):
        shown.append("(… more than is shown; name a directory below, or a simpler glob)")
    return "\n".join(shown) or f"(nothing in {place.path}{' matches' if glob else ''})"


class _Visits:
    """Entries, up to a number and a time."""

    def __init__(self, entries: Iterator[tuple[tuple[str, ...], str]]) -> None:
        self._entries = entries
        self.are_complete = False

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], str]]:
        end = time.thread_time() + _LONGEST_SECONDS
        for entry in islice(self._entries, _VISITED_ENTRIES):
            yield entry
            if time.thread_time() > end:
                return
        self.are_complete = next(self._entries, None) is None


def _fitting(lines: Iterator[str], room: int) -> tuple[list[str], bool]:
    """The first lines, as many as fit, and whether these are all."""
    shown: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0 or len(shown) == _SHOWN_ENTRIES:
            return shown, False
        shown.append(line)
    return shown, True


def matches(glob: str, path: Sequence[str]) -> bool:
    """Whether a path matches: by its last name, or part by part if the glob has a slash."""
    if "/" not in glob:
        return bool(path) and fnmatchcase(path[-1], glob)
    patterns = [part for part in glob.split("/") if part not in ("", ".")]
    # Row i: whether the patterns so far match the first i parts; `**` matches any number of parts.
    row = [True] + [False] * len(path)
    for pattern in patterns:
        following = [row[0] and pattern == "**"]
        for i, part in enumerate(path):
            taken = (
                following[i] or row[i + 1]
                if pattern == "**"
                else row[i] and fnmatchcase(part, pattern)
            )
            following.append(taken)
        row = following
    return row[-1]


def _entries(
    directory: int, above: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], str]]:
    """All entries below an open directory, in order, as path and line."""
    with os.scandir(directory) as found:
        names = sorted(entry.name for entry in islice(found, _VISITED_ENTRIES))
    for name in names:
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            path = (*above, name)
            yield path, _line(directory, path, status)
            if S_ISDIR(status.st_mode) and depth > 1 and name != _NOT_ENTERED:
                yield from _list_below(directory, path, depth - 1)


def _list_below(
    directory: int, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Entries of a subdirectory; none if it can't be opened, or has been replaced."""
    with suppress(OSError):
        below = os.open(path[-1], _DIRECTORY, dir_fd=directory)
        try:
            yield from _entries(below, path, depth)
        finally:
            os.close(below)


def _line(directory: int, path: tuple[str, ...], status: os.stat_result) -> str:
    name = printable("/".join(path)).replace("\n", "\\n")
    if S_ISDIR(status.st_mode):
        return f"{name}/"
    if S_ISLNK(status.st_mode):
        return f"{name} -> {printable(os.readlink(path[-1], dir_fd=directory))}"
    if S_ISREG(status.st_mode):
        return f"{name}  ({status.st_size:,} bytes)"
    return f"{name}  (not a regular file)"
