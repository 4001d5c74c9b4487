"""The graph of a plan as a picture: what depends on what, and the state of each step.

Up to `MAX_STEPS` steps are boxes with their titles, joined by their dependencies; the direction is
the one that makes the picture narrower. More steps are marks by batch, without lines.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.plans.graphs import order_in_batches
from reports.charts import Chart
from reports.graph_layout import Edge, Layout, arrange
from reports.phrases import count_of
from reports.state_marks import (
    MARGIN,
    STATES,
    PlacedMark,
    StateMark,
    count_states,
    measure_legend,
    place_legend,
)

MAX_STEPS = 50
"""Boxes of one picture: more would be too small to read on a page (chosen)."""

BOX_WIDTH, BOX_HEIGHT = 168.0, 46.0
LAYER_GAP, NEXT_GAP = 46.0, 16.0
"""Pixels between layers, which lines cross, and between the boxes of a layer (chosen)."""

TITLE_COLUMNS = 21
"""Letters of one line of a title; a box has two lines (12 px, sans serif)."""

MIN_WIDTH = 460.0
"""Pixels, so that the legend fits beside few boxes (chosen)."""

MARKS_IN_ROW, MARK_ROOM, MAX_ROWS, LABEL_WIDTH = 30, 18.0, 40, 116.0
"""Of the marks by batch; more batches than rows are joined (chosen)."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class GraphStep:
    """A step as the picture shows it. `state` is a status of executions, or `draft`."""

    key: str
    title: str
    state: str
    depends_on: Sequence[str] = ()

    @property
    def mark(self) -> StateMark:
        """The mark of its state."""
        return STATES.get(self.state, STATES["draft"])

    @property
    def tip(self) -> str:
        """What a pointer shows."""
        after = f", after {', '.join(self.depends_on)}" if self.depends_on else ""
        return f"{self.key}: {self.title}, {self.mark.name}{after}"


@dataclass(frozen=True, slots=True)
class StepBox:
    """A step: the position of its left upper corner, and its title in lines."""

    mark: StateMark
    x: float
    y: float
    lines: Sequence[str]
    tip: str


@dataclass(frozen=True, slots=True)
class DependencyLine:
    """A dependency, as the path of an SVG, with the head of its arrow."""

    path: str
    head: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Batches in one row of marks."""

    y: float
    label: str
    marks: Sequence[PlacedMark]


@dataclass(frozen=True, slots=True)
class Plane:
    """Pixels for the layers and places of a layout, from `left` and `top`."""

    is_across: bool
    left: float = 0.0
    top: float = 0.0

    def corner(self, layer: float, place: float) -> Point:
        """The left upper corner of a box."""
        along, aside = (BOX_WIDTH, BOX_HEIGHT) if self.is_across else (BOX_HEIGHT, BOX_WIDTH)
        x, y = layer * (along + LAYER_GAP), place * (aside + NEXT_GAP)
        return (self.left + x, self.top + y) if self.is_across else (self.left + y, self.top + x)

    def size(self, layout: Layout) -> Point:
        """The width and the height of all boxes."""
        x, y = self.corner(layout.depth - 1, layout.breadth - 1)
        return max(x - self.left + BOX_WIDTH, 0), max(y - self.top + BOX_HEIGHT, 0)

    def draw_line(self, route: Sequence[float], first: int) -> tuple[str, Point]:
        """The path along a route that starts in layer `first`, and the point where it ends."""
        half = (0.0, BOX_HEIGHT / 2) if self.is_across else (BOX_WIDTH / 2, 0.0)
        box = (BOX_WIDTH, 0.0) if self.is_across else (0.0, BOX_HEIGHT)
        corners = [self.corner(layer, place) for layer, place in enumerate(route, first)]
        enters = [(x + half[0], y + half[1]) for x, y in corners]
        leaves = [(x + box[0], y + box[1]) for x, y in enters]
        path = [f"M{_write(leaves[0])}"]
        for before, after in pairwise(range(len(route))):
            path.append(self._draw_curve(leaves[before], enters[after]))
            if after < len(route) - 1:
                path.append(f"L{_write(leaves[after])}")
        return "".join(path), enters[-1]

    def _draw_curve(self, start: Point, end: Point) -> str:
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        if self.is_across:
            bends = ((middle[0], start[1]), (middle[0], end[1]))
        else:
            bends = ((start[0], middle[1]), (end[0], middle[1]))
        return f"C{' '.join(map(_write, (*bends, end)))}"

    def draw_head(self, at: Point) -> str:
        """The head of an arrow."""
        return f"M{_write(at)}{'l-7 -3.5v7z' if self.is_across else 'l-3.5 -7h7z'}"


def _write(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def draw_graph(steps: Sequence[GraphStep]) -> Chart:
    """The picture of a plan's steps.

    Raises:
        InvalidInputError: the steps depend on each other in a cycle.
    """
    batches = _order(steps)
    if len(steps) > MAX_STEPS:
        return _draw_marks(steps, batches)
    return _draw_boxes(steps, batches)


def draw_batches(steps: Sequence[GraphStep]) -> Chart:
    """The picture as marks by batch, however few steps there are."""
    return _draw_marks(steps, _order(steps))


def _order(steps: Sequence[GraphStep]) -> Sequence[Sequence[str]]:
    return order_in_batches({step.key: step.depends_on for step in steps}, field="steps")


def _draw_boxes(steps: Sequence[GraphStep], batches: Sequence[Sequence[str]]) -> Chart:
    edges: list[Edge] = [(other, step.key) for step in steps for other in step.depends_on]
    layout = arrange(batches, edges)
    is_across = layout.depth <= layout.breadth
    width, height = Plane(is_across).size(layout)
    whole = max(width + 2 * MARGIN, MIN_WIDTH)
    legend = list(place_legend((step.state for step in steps), whole))
    top = measure_legend(legend)
    plane = Plane(is_across, (whole - width) / 2, top)
    values = {
        "legend": legend,
        "boxes": [_box(s, plane.corner(layout.layers[s.key], layout.places[s.key])) for s in steps],
        "lines": list(_lines(steps, layout, plane)),
        "rows": (),
    }
    return _chart(steps, batches, values, (whole, top + height + MARGIN))


def _box(step: GraphStep, corner: Point) -> StepBox:
    return StepBox(step.mark, *corner, wrap_title(step.title or step.key), step.tip)


def _lines(steps: Sequence[GraphStep], layout: Layout, plane: Plane) -> Iterator[DependencyLine]:
    done = {step.key for step in steps if step.state == "completed"}
    for (before, _), route in layout.routes.items():
        path, end = plane.draw_line(route, layout.layers[before])
        yield DependencyLine(path, plane.draw_head(end), before in done)


def _draw_marks(steps: Sequence[GraphStep], batches: Sequence[Sequence[str]]) -> Chart:
    """The steps as marks, a row for each batch, or for several if there are many."""
    by_key = {step.key: step for step in steps}
    width = LABEL_WIDTH + MARKS_IN_ROW * MARK_ROOM + 2 * MARGIN
    legend = list(place_legend((step.state for step in steps), width))
    y = measure_legend(legend)
    rows = []
    size = -(-len(batches) // MAX_ROWS)
    for first in range(0, len(batches), size):
        joined = batches[first : first + size]
        found = [by_key[key] for batch in joined for key in batch]
        last = first + len(joined)
        label = f"Batch {last}" if len(joined) == 1 else f"Batches {first + 1} to {last}"
        rows.append(BatchRow(y, label, list(_marks(found, y))))
        y += MARK_ROOM * -(-len(found) // MARKS_IN_ROW) + MARGIN
    values = {"legend": legend, "boxes": (), "lines": (), "rows": rows}
    return _chart(steps, batches, values, (width, y))


def _marks(steps: Sequence[GraphStep], y: float) -> Iterator[PlacedMark]:
    for number, step in enumerate(steps):
        row, column = divmod(number, MARKS_IN_ROW)
        x = MARGIN + LABEL_WIDTH + (column + 0.5) * MARK_ROOM
        yield PlacedMark(step.mark, x, y + (row + 0.5) * MARK_ROOM, step.tip)


def _chart(
    steps: Sequence[GraphStep],
    batches: Sequence[Sequence[str]],
    values: Mapping[str, object],
    size: Point,
) -> Chart:
    counts = count_states(step.state for step in steps)
    states = ", ".join(f"{count} {STATES[state].name}" for state, count in counts.items())
    alt = f"{count_of(len(steps), 'step')} in {count_of(len(batches), 'batch', 'batches')}"
    return Chart(
        "graph",
        "Steps and their dependencies",
        f"{alt}: {states}." if states else "The plan has no steps.",
        "graph.svg.j2",
        {**values, "box": (BOX_WIDTH, BOX_HEIGHT)},
        size=(round(size[0]), round(size[1])),
    )


def wrap_title(title: str) -> Sequence[str]:
    """A title in at most two lines; a wide letter, as of Chinese, counts twice."""
    words = title.split()
    first = ""
    while words and _columns(f"{first} {words[0]}".strip()) <= TITLE_COLUMNS:
        first = f"{first} {words.pop(0)}".strip()
    rest = " ".join(words)
    if not first:  # one long word
        first = _cut(rest, TITLE_COLUMNS)
        rest = rest[len(first) :]
    return [first, _shorten(rest)] if rest else [first]


def _shorten(line: str) -> str:
    if _columns(line) <= TITLE_COLUMNS:
        return line
    return f"{_cut(line, TITLE_COLUMNS - 1).rstrip()}…"


def _cut(line: str, columns: int) -> str:
    """The longest beginning that fits."""
    used = 0
    for end, letter in enumerate(line):
        used += _columns(letter)
        if used > columns:
            return line[:end]
    return line


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
