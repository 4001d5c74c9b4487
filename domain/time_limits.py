"""An end to work on what users write that could take for ever: their schemas and expressions.

`(a+)+$` takes years on forty letters, and so do thirty schemas that each refer twice to the next.
In Python only a signal ends such a match, for nothing else of the process runs meanwhile: neither
the event loop nor another thread.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 0.01
"""The signal comes again, in case somebody's `except` swallowed the first one (chosen)."""


class TookTooLongError(Exception):
    """The work was ended; nothing came of it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End the block after this long. It must not await, and not hold another such block.

    Raises:
        TookTooLongError: it was ended.
        RuntimeError: this is not the main thread, where alone signals arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a time limit holds in the main thread only")
    limit = _Limit()
    before = signal.signal(signal.SIGALRM, limit.over)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        limit.is_on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if callable(before):  # else ours stays: by default a late signal would end the process
            signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, interval)


class _Limit:
    """What the signal does: it raises while the block runs, and nothing behind it."""

    def __init__(self) -> None:
        self.is_on = True

    def over(self, _number: int, frame: FrameType | None) -> None:
        if self.is_on and not _is_in_finalizer(frame):
            raise TookTooLongError


def _is_in_finalizer(frame: FrameType | None) -> bool:
    """Whether `__del__` runs, which would swallow the error with a warning."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
