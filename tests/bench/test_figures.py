import pytest

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.results import FILE, Machine, Measured, read_machines, render


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
    assert format_figure(value) == words


def test_the_document_shows_each_machine_and_the_bars_that_it_misses() -> None:
    latency = Bar("latency", 0.8, 0.75, goal=0.6)
    faster = Bar("latency", 0.5, 0.75, goal=0.6)
    memory = Bar("memory", 400, 450, unit="MB")
    table = Table("t", ("system", "ms"), [("Perdure", "1")])
    machines = [
        Machine(name, "2 cores", {"alone": Measured(section, "bench", "2026-11-29", "1.0 to 2.0")})
        for name, section in (
            ("AMD", Section("s", "about.", [table], [latency, memory])),
            ("Intel", Section("s", "about.", [table], [faster])),
        )
    ]
    text = render(machines)
    assert "| what | bar | goal | AMD | Intel |" in text
    assert (
        "| latency | at most 0.75 | at most 0.60 | 0.80, **not met** | 0.50, goal reached |" in text
    )
    assert "| memory | at most 450 MB |  | 400 MB |  |" in text
    assert text.count("## s\n") == 1
    assert text.count("| Perdure | 1 |") == 2


def test_the_document_is_made_from_the_stored_figures() -> None:
    assert FILE.read_text() == render(read_machines()), "run `python -m bench.results`"
