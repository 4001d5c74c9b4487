"""What a process no longer needs, it returns to the operating system."""

import os
import weakref
from pathlib import Path

from runtime.memory import release_memory

BLOCK_BYTES = 2_000
BLOCKS = 40_000
KEPT = 100
"""One of so many blocks stays, so that the free ones are nowhere at the end of the heap."""


async def test_free_pages_between_those_in_use_are_returned() -> None:
    blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
    kept = blocks[::KEPT]
    full = _resident_bytes()
    del blocks
    await release_memory()
    assert full - _resident_bytes() > BLOCKS * BLOCK_BYTES / 2
    assert len(kept) == BLOCKS / KEPT


async def test_cycles_are_deleted() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    cycle = weakref.ref(Cycle())
    await release_memory()
    assert cycle() is None


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
