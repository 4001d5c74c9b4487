"""Figures and their format: spreads, tables, bars that are met or not."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of what was measured again and again."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of at least one value."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    @classmethod
    def of_ratios(cls, ours: Sequence[float], theirs: Sequence[float]) -> "Spread":
        """Of pairs that were measured one right after the other."""
        return cls.of(a / b for a, b in zip(ours, theirs, strict=True))

    def times(self, factor: float) -> "Spread":
        """In another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)

    def __str__(self) -> str:
        median, low, high = map(format_figure, (self.median, self.low, self.high))
        return f"{median} ({low} to {high})"


def format_figure(value: float) -> str:
    """Three digits that matter."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A number with its limit, and with the `goal` that a later version should reach (chosen)."""

    claim: str
    value: float
    limit: float
    side: Literal["at most", "at least"] = "at most"
    goal: float | None = None
    unit: str = ""

    def holds(self, limit: float) -> bool:
        """Whether the value is on the right side of `limit`."""
        return self.value <= limit if self.side == "at most" else self.value >= limit

    @property
    def is_met(self) -> bool:
        """Whether the bar is met; the goal is separate."""
        return self.holds(self.limit)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a heading of its own."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """What one case found."""

    title: str
    about: str
    tables: Sequence[Table]
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = field(default_factory=list)
    drawings: Mapping[str, str] = field(default_factory=dict)
    """Titles of drawings, and their SVG; the path of its file once it is stored."""
