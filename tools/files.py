"""Reads, writes and edits text files of a workspace. Blocking: call it in a thread."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.errors import ToolInputError
from domain.workspace_paths import Place
from tools.limits import ToolLimits
from tools.output import decoded, encoded, is_binary
from tools.paths import Workspace, place_of

_DEFAULT_LINES = 2000
_LINE_BYTES = 2000
"""How much of one line is shown (chosen: minified files have lines of megabytes)."""

_SAMPLE_BYTES = 8192
_NEW_FILE_MODE = 0o644


def read_file(workspace: Workspace, tool_input: Mapping[str, Any], limits: ToolLimits) -> str:
    """Read numbered lines from `offset`: at most `limit`, and as many as fit."""
    content, path = _content(workspace, tool_input["path"], limits.file_bytes)
    if not content:
        return f"({path} is empty)"
    if is_binary(content[:_SAMPLE_BYTES]):
        return f"({path} is a binary file of {len(content):,} bytes)"
    lines = content.removesuffix(b"\n").split(b"\n")
    first = tool_input.get("offset", 1)
    if first > len(lines):
        raise ToolInputError(f"{path} has only {len(lines):,} lines.")
    wanted = lines[first - 1 : first - 1 + tool_input.get("limit", _DEFAULT_LINES)]
    shown = list(_numbered(wanted, first, limits.preview_bytes))
    last = first + len(shown) - 1
    if first == 1 and last == len(lines):
        return "\n".join(shown)
    ending = f"continue with offset {last + 1}" if last < len(lines) else "that is the end"
    return "\n".join([*shown, f"(lines {first:,} to {last:,} of {len(lines):,}; {ending})"])


def _numbered(lines: list[bytes], first: int, room: int) -> Iterator[str]:
    """Number and shorten lines until the room is used; at least one."""
    for number, line in enumerate(lines, first):
        cut = f" (… {len(line) - _LINE_BYTES:,} bytes more)" if len(line) > _LINE_BYTES else ""
        shown = f"{number:6}\t{decoded(line[:_LINE_BYTES])}{cut}"
        room -= len(shown.encode()) + 1
        if room < 0 and number > first:
            return
        yield shown


def write_file(workspace: Workspace, tool_input: Mapping[str, Any]) -> str:
    """Create or replace a file, completely or not at all."""
    content = encoded(tool_input["content"])
    with place_of(workspace, tool_input["path"], make_directories=True) as place:
        existed = place.status() is not None
        staged = workspace.private / f"write-{os.urandom(8).hex()}"
        _Replacement(workspace, place, staged).make(content)
    return f"{'Replaced' if existed else 'Made'} {place.path} ({len(content):,} bytes)."


def edit_file(
    workspace: Workspace, tool_input: Mapping[str, Any], limits: ToolLimits, *, call: str
) -> str:
    """Replace text in a file, once for each `call`, even if the call is repeated.

    The new file is staged in a private directory, then a mark is created, then the file is moved
    into place. So a mark without a staged file means that the edit was made; otherwise it can start
    from the beginning.
    """
    staged, mark = workspace.private / f"{call}.staged", workspace.private / f"{call}.made"
    if mark.exists() and not staged.exists():
        return f"Edited {tool_input['path']}."
    content, path = _content(workspace, tool_input["path"], limits.file_bytes)
    edited = _replaced(content, tool_input, path)
    with place_of(workspace, tool_input["path"]) as place:
        _Replacement(workspace, place, staged, mark).make(edited)
    return f"Edited {place.path}."


def _replaced(content: bytes, tool_input: Mapping[str, Any], path: str) -> bytes:
    old, new = encoded(tool_input["old_text"]), encoded(tool_input["new_text"])
    if old == new:
        raise ToolInputError("old_text and new_text are the same.")
    count = content.count(old)
    if count == 0:
        raise ToolInputError(f"{path} does not contain old_text exactly as given. Read it again.")
    if count > 1 and not tool_input.get("replace_all", False):
        raise ToolInputError(
            f"{path} contains old_text {count} times. Give more lines around it, or set "
            "replace_all."
        )
    return content.replace(old, new)


def _content(workspace: Workspace, path: str, largest: int) -> tuple[bytes, str]:
    with place_of(workspace, path) as place, os.fdopen(place.open_file(largest), "rb") as file:
        # The file may grow during the read.
        return file.read(largest), place.path


@dataclass(frozen=True, slots=True)
class _Replacement:
    """A file that is staged where no command can change it, and then moved into place."""

    workspace: Workspace
    place: Place
    staged: Path
    mark: Path | None = None

    def make(self, content: bytes) -> None:
        mode = self._mode()
        try:
            with self.staged.open("wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
                self.workspace.give(file.fileno())
            if self.mark is not None:
                self.mark.touch()
            self._move()
        except OSError:
            # The mark first: a mark without a staged file means that the edit was made.
            for left in (self.mark, self.staged):
                if left is not None:
                    with suppress(OSError):
                        left.unlink(missing_ok=True)
            raise

    def _move(self) -> None:
        """Move the file into place, which may be on another file system."""
        try:
            os.rename(self.staged, self.place.name, dst_dir_fd=self.place.directory)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            beside = f".{self.staged.name}"
            self._copy(beside)
            os.rename(
                beside,
                self.place.name,
                src_dir_fd=self.place.directory,
                dst_dir_fd=self.place.directory,
            )
            self.staged.unlink()

    def _copy(self, beside: str) -> None:
        """Copy the staged file next to its target."""
        with suppress(FileNotFoundError):  # left by a killed worker
            os.unlink(beside, dir_fd=self.place.directory)
        made = os.open(
            beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=self.place.directory
        )
        with os.fdopen(made, "wb") as file:
            file.write(self.staged.read_bytes())
            os.fchmod(made, stat.S_IMODE(self.staged.stat().st_mode))
            self.workspace.give(made)

    def _mode(self) -> int:
        """The permissions of the replaced file, without setuid."""
        status = self.place.status()
        if status is None:
            return _NEW_FILE_MODE
        if stat.S_ISDIR(status.st_mode):
            raise ToolInputError(f"{self.place.path} is a directory.")
        if not stat.S_ISREG(status.st_mode):
            raise ToolInputError(f"{self.place.path} is not a regular file.")
        return stat.S_IMODE(status.st_mode) & 0o777
