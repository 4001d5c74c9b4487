import pytest

from bench.figures import Bar, Section, Spread, Table, shown
from bench.results import render


def test_ratios_are_of_pairs() -> None:
    spread = Spread.of_ratios([1.0, 10.0, 3.0], [2.0, 10.0, 1.0])
    assert (spread.median, spread.low, spread.high) == (1.0, 0.5, 3.0)


def test_pairs_must_be_complete() -> None:
    with pytest.raises(ValueError, match="zip"):
        Spread.of_ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (0.754, "0.75"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_three_digits_are_shown(value: float, words: str) -> None:
    assert shown(value) == words


def test_a_missed_bar_is_shown_as_not_met() -> None:
    bars = [
        Bar("latency", 0.8, 0.75, goal=0.6),
        Bar("speed", 1.4, 1.3, side="at least", goal=1.5),
        Bar("memory", 400, 450, unit="MB"),
    ]
    table = Table("t", ("system", "ms"), [("Perdure", "1")])
    text = render([Section("s", "about", [table], bars)], command="bench", busy="1.0, 1.0")
    assert "| latency | 0.80 | at most 0.75 | **not met** | at most 0.60 | not reached |" in text
    assert "| speed | 1.40 | at least 1.30 | met | at least 1.50 | not reached |" in text
    assert "| memory | 400 MB | at most 450 MB | met |  |  |" in text
    assert "| Perdure | 1 |" in text
