"""The calculated priority, and when it changes by itself."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from domain.executions.priority import (
    PriorityFacts,
    WorkSource,
    calculate_priority,
    calculate_urgency,
    find_source,
    seconds_to_change,
)

DAY = 86_400.0


@pytest.mark.parametrize(
    ("left", "estimate", "urgency"),
    [
        (None, None, 50),
        (None, 600, 50),
        (-1, None, 100),
        (0, 600, 100),
        (59, None, 100),
        (3599, None, 80),
        (DAY - 1, None, 50),
        (7 * DAY - 1, None, 30),
        (7 * DAY, None, 10),
        (599, 600, 100),
        (1200, 600, 100 * math.exp(-1)),
    ],
)
def test_urgency(left: float | None, estimate: float | None, urgency: float) -> None:
    assert calculate_urgency(left, estimate) == pytest.approx(urgency)


def test_priority_weighs_all_parts() -> None:
    least = PriorityFacts(base=0, source=WorkSource.IMPLEMENTATION, left_seconds=30 * DAY)
    most = PriorityFacts(
        base=10, source=WorkSource.HUMAN, depth=12, waiting=1_000_000, left_seconds=-5
    )
    assert calculate_priority(least) == 3.75
    assert calculate_priority(most) == 100
    usual = PriorityFacts(base=5, source=WorkSource.HUMAN, depth=2, waiting=9)
    assert calculate_priority(usual) == pytest.approx(15 + 5 + 12.5 + 0.15 * 33.33 + 5, abs=0.01)


def test_the_source_follows_from_the_trigger() -> None:
    assert find_source("plan") is WorkSource.PLANNER
    assert find_source("subtask") is WorkSource.IMPLEMENTATION
    assert find_source("api") is WorkSource.HUMAN


@given(
    left=st.floats(0.01, 100 * DAY),
    estimate=st.one_of(st.none(), st.floats(1, 10 * DAY)),
)
def test_the_urgency_is_current_until_it_is_computed_again(
    left: float, estimate: float | None
) -> None:
    changes = 0
    while (seconds := seconds_to_change(left, estimate)) is not None:
        before = calculate_urgency(left, estimate)
        shortly_before = calculate_urgency(left - seconds * 0.999, estimate)
        assert before <= shortly_before <= before + 5.01 or estimate is None
        if estimate is None:
            assert shortly_before == before
        left -= seconds + 1e-6
        changes += 1
        assert calculate_urgency(left, estimate) > before
    assert calculate_urgency(left, estimate) == 100
    assert changes <= 14
