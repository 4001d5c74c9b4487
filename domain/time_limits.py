"""Limits the time of work on schemas and expressions of users, which could take indefinitely.

`(a+)+$` takes years for forty letters, and so do thirty schemas that each refer twice to the next.
In Python only a signal can end such a match, because it blocks the event loop and all threads.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEAT_SECONDS = 0.01
"""The signal is repeated, in case an `except` suppressed the first error (chosen)."""


class TookTooLongError(Exception):
    """The work took too long and was ended."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the block after this time. It must not await, and not contain another such block.

    Raises:
        TookTooLongError: the block was ended.
        RuntimeError: this is not the main thread, which is the only one that receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("time limits work in the main thread only")
    limit = _Limit()
    before = signal.signal(signal.SIGALRM, limit.over)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_SECONDS)
    try:
        yield
    finally:
        limit.is_on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if callable(before):  # otherwise our handler stays: a late signal would end the process
            signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, interval)


class _Limit:
    """The signal handler: it raises while the block runs, and does nothing after it."""

    def __init__(self) -> None:
        self.is_on = True

    def over(self, _number: int, frame: FrameType | None) -> None:
        if self.is_on and not _is_in_finalizer(frame):
            raise TookTooLongError


def _is_in_finalizer(frame: FrameType | None) -> bool:
    """Whether `__del__` runs, in which Python only prints the error."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
