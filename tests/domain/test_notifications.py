"""How often a notification is tried, and when not again."""

from datetime import timedelta

import pytest

from domain.people.notifications import TRIES, delay_after, is_final, is_success


def test_tries_begin_close_together_and_last_over_a_weekend() -> None:
    delays = [delay_after(tries) for tries in range(1, TRIES)]
    assert delays[0] == timedelta(seconds=5)
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(hours=6)
    assert timedelta(hours=60) < sum(delays, timedelta()) < timedelta(hours=96)
    assert delay_after(1000) == timedelta(hours=6)


def test_a_receiver_may_ask_for_more_time_up_to_a_day() -> None:
    assert delay_after(1, 60) == timedelta(seconds=60)
    assert delay_after(1, 1) == timedelta(seconds=5)
    assert delay_after(1, -5) == timedelta(seconds=5)
    assert delay_after(1, 10**12) == timedelta(days=1)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 405, 410, 413, 422])
def test_refusals_and_redirects_are_final(status: int) -> None:
    assert is_final(status)
    assert not is_success(status)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_passes_is_tried_again(status: int) -> None:
    assert not is_final(status)
    assert not is_success(status)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success(status: int) -> None:
    assert is_success(status)
