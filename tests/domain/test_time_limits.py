import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.time_limits import TookTooLongError, time_limit


def _forever() -> None:
    re.search(r"(a+)+$", "a" * 60 + "b")


def _limited(seconds: float) -> None:
    with time_limit(seconds):
        _forever()


def test_an_expression_that_never_ends_is_ended() -> None:
    for _ in range(5):
        began = time.monotonic()
        with pytest.raises(TookTooLongError):
            _limited(0.05)
        assert time.monotonic() - began < 60


def test_what_is_done_in_time_is_left_alone_and_nothing_comes_later() -> None:
    outer = signal.setitimer(signal.ITIMER_REAL, 1000)  # pytest's own time limit, if it has one
    try:
        for _ in range(200):
            with time_limit(10):
                pass
        remaining, interval = signal.getitimer(signal.ITIMER_REAL)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
    assert 900 < remaining <= 1000
    assert interval == 0


def test_an_end_that_is_swallowed_comes_again() -> None:
    def swallowed() -> None:
        with time_limit(0.05):
            try:
                _forever()
            except TookTooLongError:
                _forever()

    with pytest.raises(TookTooLongError):
        swallowed()


def test_a_finalizer_that_runs_meanwhile_is_completed() -> None:
    completed: list[bool] = []

    class SlowFinalizer:
        def __del__(self) -> None:
            began = time.monotonic()
            while time.monotonic() - began < 0.1:
                pass
            completed.append(True)

    def work() -> None:
        with time_limit(0.02):
            SlowFinalizer()
            _forever()

    with pytest.raises(TookTooLongError):
        work()
    assert completed == [True]


def test_other_threads_get_an_error() -> None:
    with ThreadPoolExecutor(1) as threads, pytest.raises(RuntimeError, match="main thread"):
        threads.submit(_limited, 1).result()
