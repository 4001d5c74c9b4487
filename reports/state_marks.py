"""The marks of states in pictures: each state has its own shape and colour, and its own words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

LEGEND_HEIGHT, LEGEND_LETTER = 22.0, 6.6
"""Pixels of a row of the legend, and of a letter in it (12 px, sans serif)."""

MARGIN = 4.0
"""Pixels around a picture: the border of a box is not cut off (chosen)."""


@dataclass(frozen=True, slots=True)
class StateMark:
    """How a state is drawn, in a square of 16 pixels around (0, 0); `sign` is a line in it."""

    name: str
    colour: str
    shape: str
    sign: str = ""
    is_filled: bool = True
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class PlacedMark:
    """A mark at a position; `tip` is shown to a pointer, `label` is beside the mark."""

    mark: StateMark
    x: float
    y: float
    tip: str = ""
    label: str = ""


_CIRCLE = "M-6.5 0a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0z"
_SQUARE = "M-6 -6h12v12h-12z"
_DIAMOND = "M0 -7.5L7.5 0L0 7.5L-7.5 0z"
_TRIANGLE = "M-5 -6.8L7 0L-5 6.8z"
_OCTAGON = "M-3 -7h6L7 -3v6L3 7h-6L-7 3v-6z"

STATES: Mapping[str, StateMark] = MappingProxyType(
    {
        "draft": StateMark("not started", "muted", _SQUARE, is_filled=False, is_dashed=True),
        "blocked": StateMark("blocked", "muted", _CIRCLE, is_filled=False, is_dashed=True),
        "pending": StateMark("pending", "tools", _CIRCLE, is_filled=False),
        "running": StateMark("running", "tools", _TRIANGLE),
        "waiting_for_subtask": StateMark("waits for a subtask", "subtasks", _DIAMOND),
        "waiting_for_user": StateMark(
            "waits for a person", "people", _DIAMOND, "M0 -3.4v3.4M0 2.6v.8"
        ),
        "paused": StateMark("paused", "people", _SQUARE, "M-2 -3v6M2 -3v6"),
        "completed": StateMark("completed", "good", _CIRCLE, "M-3 .2L-.8 2.6L3.2 -2.4"),
        "failed": StateMark("failed", "bad", _OCTAGON, "M-2.6 -2.6L2.6 2.6M2.6 -2.6L-2.6 2.6"),
        "cancelled": StateMark("cancelled", "muted", _SQUARE, "M-3 0h6"),
    }
)
"""By the status of an execution, or `draft`; in the order of the legend."""


def count_states(states: Iterable[str]) -> Mapping[str, int]:
    """How often each state occurs, in the order of the legend, without those that do not."""
    counts = Counter(states)
    return {state: counts[state] for state in STATES if counts[state]}


def place_legend(states: Iterable[str], width: float) -> Iterator[PlacedMark]:
    """The states that occur, with their numbers, in as many rows as the width requires."""
    x, y = MARGIN, MARGIN + LEGEND_HEIGHT / 2
    for state, count in count_states(states).items():
        label = f"{STATES[state].name} {count}"
        room = 38 + len(label) * LEGEND_LETTER
        if x > MARGIN and x + room > width:
            x, y = MARGIN, y + LEGEND_HEIGHT
        yield PlacedMark(STATES[state], x + 8, y, label=label)
        x += room


def measure_legend(legend: Sequence[PlacedMark]) -> float:
    """The height of a legend with the gap below it."""
    return max((entry.y for entry in legend), default=0.0) + LEGEND_HEIGHT / 2 + 12
