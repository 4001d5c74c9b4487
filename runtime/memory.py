"""Python's garbage collector and the heap of this process."""

import asyncio
import ctypes
import gc

_MALLOC_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""A function of glibc; other C libraries have no such function."""

COLLECT_AFTER = 10_000
"""New objects until a worker's garbage collector looks for unreachable cycles (chosen). With
Python's 700, and with the 300,000 objects of loaded modules among those that it visits, a busy
worker spent 5 % of its CPU on that (measured 2026-11-29)."""

COLLECT_OLDER_AFTER = 1
"""Collections of a generation until the next older one is collected too. Workflows that left the
cache are cycles and old. With Python's 10, the memory of a worker with 1,000 executions that wait
grows by 28 MB, not by 24 MB, and it needs as much CPU (measured 2026-11-29)."""


def freeze_loaded() -> None:
    """Enable garbage collection for what is created from now on, but not for what exists.

    Modules and routes live as long as the process. Otherwise each full collection visits all of
    them, which stops a gateway for 0.1 s (measured 2026-11-29). Entry points disable collections
    while they load modules, which then takes a fifth less time.
    """
    gc.collect()  # frozen objects are never collected
    gc.freeze()
    gc.enable()


def collect_less_often() -> None:
    """Set when a worker collects garbage."""
    gc.set_threshold(COLLECT_AFTER, COLLECT_OLDER_AFTER, COLLECT_OLDER_AFTER)


async def release_memory() -> None:
    """Delete unreachable objects, and return free pages between those in use.

    Workflows that left the cache are cycles, which Python deletes late. What it frees is between
    memory in use, and glibc returns only the end of its heap: after 700 executions that wait, 40 of
    the 103 MB of a worker's heap were free (measured 2026-11-29).
    """
    gc.collect()
    if _MALLOC_TRIM is not None:
        await asyncio.to_thread(_MALLOC_TRIM, 0)
