"""The picture of a plan's graph: what it shows, and that nothing overlaps or is outside."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.executions.states import ExecutionStatus
from reports import palette
from reports.graph_layout import arrange, keep_distances
from reports.plan_graph import (
    BOX_HEIGHT,
    BOX_WIDTH,
    TITLE_COLUMNS,
    GraphStep,
    draw_graph,
    wrap_title,
)
from reports.state_marks import STATES
from tests.reports.test_charts import SVG, luminance

Drawn = tuple[ET.Element, list[ET.Element]]


def draw(steps: Sequence[GraphStep]) -> Drawn:
    """The picture, and the groups of its steps."""
    chart = draw_graph(steps)
    svg = ET.fromstring(chart.draw("100%"))  # noqa: S314 - ours
    return svg, [g for g in svg.iter(f"{SVG}g") if g.get("class") == "step"]


@st.composite
def graphs(draw_value: st.DrawFn) -> list[GraphStep]:
    """Steps in any order of their titles; each depends on any of those before it."""
    count = draw_value(st.integers(1, 16))
    states = st.sampled_from(list(STATES))
    steps: list[GraphStep] = []
    for number in range(count):
        earlier = [step.key for step in steps]
        few = (
            st.lists(st.sampled_from(earlier), max_size=4, unique=True) if earlier else st.just([])
        )
        title = draw_value(st.text(max_size=60))
        steps.append(GraphStep(f"s{number}", title, draw_value(states), draw_value(few)))
    return steps


@given(graphs())
def test_boxes_are_apart_and_inside(steps: list[GraphStep]) -> None:
    svg, groups = draw(steps)
    width, height = (float(x) for x in (svg.get("viewBox") or "").split()[2:])
    corners = []
    for group in groups:
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        corners.append((float(rect.get("x", "")), float(rect.get("y", ""))))
    assert len(corners) == len(steps)
    for x, y in corners:
        assert 0 <= x <= width - BOX_WIDTH
        assert 0 <= y <= height - BOX_HEIGHT
    for (x, y), (other_x, other_y) in combinations(corners, 2):
        assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT


@given(graphs())
def test_each_dependency_is_one_line(steps: list[GraphStep]) -> None:
    svg, _ = draw(steps)
    lines = [p for p in svg.findall(f"{SVG}path") if p.get("fill") == "none"]
    assert len(lines) == sum(len(step.depends_on) for step in steps)


def test_each_state_has_its_own_shape_colour_and_words() -> None:
    assert {*map(str, ExecutionStatus), "draft"} == set(STATES)
    looks = [(m.shape, m.sign, m.is_filled, m.is_dashed) for m in STATES.values()]
    assert len(set(looks)) == len(STATES)
    assert len({mark.name for mark in STATES.values()}) == len(STATES)
    svg, _ = draw([GraphStep("a", "A", "completed"), GraphStep("b", "B", "failed", ["a"])])
    legend = [t.text for t in svg.iter(f"{SVG}text")][:2]
    assert legend == ["completed 1", "failed 1"]
    assert svg.findtext(f"{SVG}desc") == "2 steps in 2 batches: 1 completed, 1 failed."


@pytest.mark.parametrize("shades", [palette.LIGHT, palette.DARK])
def test_marks_are_visible_in_both_schemes(shades: palette.Shades) -> None:
    for mark in STATES.values():
        levels = sorted(luminance(shades[name]) for name in (mark.colour, "surface"))
        assert (levels[1] + 0.05) / (levels[0] + 0.05) >= 3


def test_a_chain_is_drawn_downwards_and_a_fan_across() -> None:
    chain = [GraphStep(f"s{n}", "", "draft", [f"s{n - 1}"] if n else []) for n in range(9)]
    fan = [GraphStep("a", "", "draft"), *(GraphStep(f"s{n}", "", "draft", ["a"]) for n in range(9))]
    for steps in (chain, fan):
        width, height = draw_graph(steps).size or (0, 0)
        assert width < height


def test_a_line_does_not_cross_if_it_need_not() -> None:
    batches = [["a", "b", "c"], ["x", "y", "z"]]
    layout = arrange(batches, [("a", "z"), ("b", "y"), ("c", "x")])
    for route in layout.routes.values():
        assert route[0] == pytest.approx(route[1])


def test_many_steps_are_marks_by_batch() -> None:
    steps = [
        GraphStep(f"s{n}", f"Step {n}", "pending", [f"s{n - 10}"] if n > 9 else [])
        for n in range(1000)
    ]
    svg, groups = draw(steps)
    assert len(groups) == 1000
    labels = [t.text for t in svg.iter(f"{SVG}text")]
    assert labels[:2] == ["pending 1000", "Batches 1 to 3"]
    assert labels[-1] == "Batch 100"
    assert (draw_graph(steps).size or (0, 0))[1] < 1000


@given(st.text(max_size=100))
def test_a_title_fits_its_box(title: str) -> None:
    lines = wrap_title(title)
    assert 1 <= len(lines) <= 2
    assert all(len(line) <= TITLE_COLUMNS for line in lines)


def test_a_long_title_ends_with_an_ellipsis() -> None:
    assert wrap_title("Read the price lists of all suppliers in Europe") == [
        "Read the price lists",
        "of all suppliers in…",
    ]
    assert wrap_title("Prüfen") == ["Prüfen"]
    assert wrap_title("把报告翻译成中文以便总部阅读") == ["把报告翻译成中文以便", "总部阅读"]


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.5, 2)), min_size=1, max_size=20))
def test_distances_are_kept(wanted: list[tuple[float, float]]) -> None:
    gaps = [gap for _, gap in wanted[1:]]
    places = keep_distances([place for place, _ in wanted], gaps)
    for number, gap in enumerate(gaps):
        assert places[number + 1] - places[number] >= gap - 1e-9
