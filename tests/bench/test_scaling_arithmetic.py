"""The tables of `docs/scaling.md` follow from its figures."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs/scaling.md").read_text()
LOAD, SECONDS, SLOTS = 0.7, 10, 200


def read_rows(heading: str) -> Sequence[Sequence[str]]:
    """The rows of the first table after a heading."""
    table = TEXT.split(heading, 1)[1].split("\n|", 1)[1].split("\n\n", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")]
    return rows[2:]


def number(text: str) -> float:
    return float(text.replace(",", ""))


FIGURES = {row[0]: number(row[1]) for row in read_rows("## Figures")}


def cpu(component: str) -> float:
    """Seconds per execution."""
    return FIGURES[f"{component}, ms of CPU per execution"] / 1000


def test_machines_follow_from_the_figures() -> None:
    rows = read_rows("For executions of 10 s:")
    assert [number(row[0]) for row in rows] == [1, 10, 100, 1000]
    for rate, gateways, workers, postgres, commits, temporal, calls in (
        [number(cell) for cell in row] for row in rows
    ):
        fewest = 2 if rate >= 100 else 1
        assert gateways == max(fewest, math.ceil(rate * cpu("gateway") / LOAD))
        slots = rate * SECONDS / SLOTS
        assert workers == max(fewest, math.ceil(max(rate * cpu("worker") / LOAD, slots)))
        assert math.isclose(postgres, rate * cpu("Postgres") / LOAD, rel_tol=0.2)
        assert math.isclose(temporal, rate * cpu("Temporal") / LOAD, rel_tol=0.05)
        assert commits == rate * FIGURES["commits per execution"]
        assert calls == rate * FIGURES["model calls per execution"]


def test_sentences_follow_from_the_figures() -> None:
    parts = ("gateway", "worker", "Postgres", "Temporal", "client")
    whole_ms = round(1000 * sum(map(cpu, parts)), 1)
    assert f"{whole_ms} ms is {whole_ms / 2:.0f} % of two cores" in TEXT
    assert f"at {math.floor(LOAD * 2000 / whole_ms)} executions a second" in TEXT
    assert f"could do {LOAD / cpu('worker'):.0f} (" in TEXT
    closed = 10_000 / FIGURES["seconds to close the workflows of 10,000 pairs"]
    pairs = FIGURES["pairs of claim and completion per second on the two cores"]
    assert f"= {1 / (1 / pairs + 1 / closed):.0f} pieces of work" in TEXT
    resume = FIGURES["Temporal, ms of CPU to resume"]
    found = re.search(r"([\d.]+) ms / (\d+) cores / 0\.7 is (\d+) minutes", TEXT)
    assert found is not None
    assert (float(found[1]), int(found[2])) == (resume, round(1000 * cpu("Temporal") / LOAD))
    assert int(found[3]) == round(1000 * resume / int(found[2]) / LOAD / 60)
