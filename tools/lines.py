"""Reads lines of a large file in bounded memory. Blocking: call it in a thread."""

import os
from collections.abc import Iterator
from typing import BinaryIO

_LINE_BYTES = 2000
"""How much of one line is kept (chosen: minified files have lines of megabytes)."""

_AT_ONCE = 64 * 1024


class LineReader:
    """Skips, reads and counts the lines of an open file, of which at most `largest` bytes.

    The file may grow during the read.
    """

    def __init__(self, file: BinaryIO, largest: int) -> None:
        """Start at the file's current position."""
        self._file = file
        self._left = largest
        self._ends = 0
        self._is_inside_line = False

    def skip(self, lines: int) -> None:
        """Skip lines, or all that there are."""
        while self._ends < lines and (part := self._file.read(self._limit(_AT_ONCE))):
            wanted, end = lines - self._ends, len(part)
            if part.count(b"\n") >= wanted:
                end = 0
                for _ in range(wanted):
                    end = part.index(b"\n", end) + 1
                self._file.seek(end - len(part), os.SEEK_CUR)
            self._take(part[:end])

    def read(self) -> Iterator[tuple[bytes, int]]:
        """The start of each line, and how many of its bytes are left out."""
        while part := self._line_part(_LINE_BYTES + 1):
            line = part.removesuffix(b"\n")
            start, left_out = line[:_LINE_BYTES], len(line[_LINE_BYTES:])
            while not part.endswith(b"\n") and (part := self._line_part(_AT_ONCE)):
                left_out += len(part.removesuffix(b"\n"))
            yield start, left_out

    def count(self) -> int:
        """Read the rest; returns how many lines there are from the start."""
        while self._take(self._file.read(self._limit(_AT_ONCE))):
            pass
        return self._ends + self._is_inside_line

    def _line_part(self, size: int) -> bytes:
        return self._take(self._file.readline(self._limit(size)))

    def _limit(self, size: int) -> int:
        return min(size, self._left)

    def _take(self, part: bytes) -> bytes:
        self._left -= len(part)
        self._ends += part.count(b"\n")
        if part:
            self._is_inside_line = not part.endswith(b"\n")
        return part
