"""The timeline: a limited number of spans, to scale, except for long waits."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.executions.report_facts import Lane, TimelineSpan
from reports.timeline import MAX_BREAKS, MAX_SPANS, Axis, join_spans

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def span(start: float, end: float, lane: Lane = "model", *, is_error: bool = False) -> TimelineSpan:
    return TimelineSpan(
        lane=lane,
        label="m",
        turn=1,
        started_at=NOON + timedelta(seconds=start),
        ended_at=NOON + timedelta(seconds=end),
        is_error=is_error,
    )


def at(axis: Axis, seconds: float) -> float:
    return axis.position(NOON + timedelta(seconds=seconds))


SPANS = st.lists(
    st.builds(
        lambda start, length, lane: span(start, start + length, lane),
        st.floats(0, 1e6),
        st.floats(0, 1e5),
        st.sampled_from(["model", "tools", "people"]),
    ),
    min_size=1,
)


def test_work_without_waits_is_to_scale() -> None:
    axis = Axis([span(0, 5), span(5, 10, "tools")])
    assert not axis.breaks
    assert [at(axis, s) for s in (0, 2.5, 5, 10)] == pytest.approx([0, 25, 50, 100])


def test_a_long_wait_is_a_break() -> None:
    axis = Axis([span(0, 5), span(5, 3605, "people"), span(3605, 3610)])
    [gap] = axis.breaks
    assert (gap.left, gap.width, gap.seconds) == pytest.approx((47, 6, 3600))
    assert at(axis, 3610) == pytest.approx(100)


def test_the_axis_accounts_for_the_time_before_the_first_span() -> None:
    axis = Axis([span(3.4, 4)], NOON, NOON + timedelta(seconds=4.1))
    assert (axis.end - axis.start).total_seconds() == pytest.approx(4.1)
    assert at(axis, 3.4) == pytest.approx(100 * 3.4 / 4.1)


def test_only_the_longest_waits_are_breaks() -> None:
    axis = Axis([span(100 * i, 100 * i + 1) for i in range(20)])
    assert len(axis.breaks) == MAX_BREAKS
    assert at(axis, 1901) == pytest.approx(100)


def test_a_short_run_is_always_to_scale() -> None:
    assert not Axis([span(0, 0.1), span(4, 4.1)]).breaks


def test_a_span_without_length() -> None:
    assert at(Axis([span(0, 0)]), 0) == 0


@given(SPANS)
def test_positions_grow_and_stay_within_the_chart(spans: list[TimelineSpan]) -> None:
    axis = Axis(spans)
    times = sorted(t for s in spans for t in (s.started_at, s.ended_at))
    places = [axis.position(t) for t in times]
    assert all(a <= b + 1e-6 for a, b in pairwise(places))
    assert places[0] == 0
    assert places[-1] <= 100 + 1e-6


def test_few_spans_are_not_joined() -> None:
    spans = [span(i, i + 0.5) for i in range(MAX_SPANS)]
    assert list(join_spans(spans)) == spans


def test_the_closest_spans_are_joined() -> None:
    near = [span(i, i + 0.9) for i in range(MAX_SPANS)]
    far = [span(1_000_000 + 10 * i, 1_000_000 + 10 * i + 1, is_error=i == 3) for i in range(20)]
    joined = list(join_spans([*near, *far]))
    assert len(joined) == MAX_SPANS
    assert joined[-20:] == far
    assert sum(s.count for s in joined) == MAX_SPANS + 20
    assert joined[0].started_at == near[0].started_at


def test_a_joined_span_shows_a_failure() -> None:
    spans = [span(i, i + 1, is_error=i == 700) for i in range(5_000)]
    joined = list(join_spans(spans))
    assert len(joined) == MAX_SPANS
    assert sum(s.is_error for s in joined) == 1
