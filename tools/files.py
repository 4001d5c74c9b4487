"""Reads, writes and edits text files of a workspace. Blocking: call it in a thread."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from domain.errors import ToolInputError
from domain.workspaces.paths import Place
from tools.limits import ToolLimits
from tools.lines import LineReader
from tools.output import decode, encode, is_binary
from tools.paths import Workspace, place_of

_DEFAULT_LINES = 2000
_SAMPLE_BYTES = 8192
_NEW_FILE_MODE = 0o644


def read_file(workspace: Workspace, tool_input: Mapping[str, Any], limits: ToolLimits) -> str:
    """Read numbered lines from `offset`: at most `limit`, and as many as fit."""
    with (
        place_of(workspace, tool_input["path"]) as place,
        os.fdopen(place.open_file(limits.file_bytes), "rb") as file,
    ):
        sample, path = file.read(_SAMPLE_BYTES), place.path
        if not sample:
            return f"({path} is empty)"
        if is_binary(sample):
            return f"({path} is a binary file of {os.fstat(file.fileno()).st_size:,} bytes)"
        file.seek(0)
        lines = LineReader(file, limits.file_bytes)
        first = tool_input.get("offset", 1)
        lines.skip(first - 1)
        wanted = islice(lines.read(), tool_input.get("limit", _DEFAULT_LINES))
        shown = list(_number_lines(wanted, first, limits.preview_bytes))
        count = lines.count()
    if not shown:
        raise ToolInputError(f"{path} has only {count:,} lines.")
    last = first + len(shown) - 1
    if first == 1 and last == count:
        return "\n".join(shown)
    ending = f"continue with offset {last + 1}" if last < count else "that is the end"
    return "\n".join([*shown, f"(lines {first:,} to {last:,} of {count:,}; {ending})"])


def _number_lines(lines: Iterator[tuple[bytes, int]], first: int, room: int) -> Iterator[str]:
    """Number and shorten lines until the room is used; at least one."""
    for number, (start, left_out) in enumerate(lines, first):
        cut = f" (… {left_out:,} bytes more)" if left_out else ""
        shown = f"{number:6}\t{decode(start)}{cut}"
        room -= len(shown.encode()) + 1
        if room < 0 and number > first:
            return
        yield shown


def write_file(workspace: Workspace, tool_input: Mapping[str, Any]) -> str:
    """Create or replace a file, completely or not at all."""
    content = encode(tool_input["content"])
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
    edited = _replace(content, tool_input, path, limits.file_bytes)
    with place_of(workspace, tool_input["path"]) as place:
        _Replacement(workspace, place, staged, mark).make(edited)
    return f"Edited {place.path}."


def _replace(content: bytes, tool_input: Mapping[str, Any], path: str, largest: int) -> bytes:
    old, new = encode(tool_input["old_text"]), encode(tool_input["new_text"])
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
    size = len(content) + count * (len(new) - len(old))
    if size > largest:
        raise ToolInputError(
            f"The edited file would have {size:,} bytes; the limit of this tool is {largest:,}. "
            "Use bash to make larger files."
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
