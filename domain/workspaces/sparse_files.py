"""Holes of files: parts that have no space on the disk and read as zeros."""

import errno
import os
from collections.abc import Iterator

_BLOCK = 512
"""Unit of `st_blocks` (stat(2))."""


def is_sparse(status: os.stat_result) -> bool:
    """Whether a file has holes."""
    return status.st_blocks * _BLOCK < status.st_size


def data_ranges(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each part of an open file that is not a hole, up to `size`."""
    start = 0
    while start < size:
        try:
            start = os.lseek(file, start, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # only a hole follows
                raise
            return
        if start < size:
            yield start, min(end, size)
        start = end
