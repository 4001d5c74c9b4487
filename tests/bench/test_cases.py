"""Cases run from start to end, with numbers that are too small to measure anything."""

from collections.abc import Mapping

import pytest

from bench.cases import CASES
from bench.results import preview
from bench.scale import Scale

TINY = Scale(
    alone=2,
    alone_delayed=2,
    rounds=1,
    flood=10,
    slow_flood=5,
    turns=(2, 25),
    long_runs=1,
    waiting=160,
    parked=60,
    crashed=4,
    hostile_seconds=1,
    queued=30,
    claimable=1_000,
    all_peers=False,
)

NAMES = (
    *("alone", "cancel", "lists", "memory", "network", "profile", "reports", "startup", "stopping"),
    *("throughput", "turns", "workspaces"),
)
"""Cases that need a minute or less with these numbers, on two free cores."""

SMALLER: Mapping[str, Mapping[str, object]] = {
    "cancel": {"ALONE": 2, "BESIDE": 3},
    "lists": {"EXECUTIONS": 5_000, "LOOKS": 3, "LOAD_SECONDS": 0.5},
    "memory": {"ENTRIES": 20_000, "LOOKS": 3},
    "network": {"GIB": 1024**2, "REQUESTS": 5},
    "profile": {"RESUMED": 4},
    "reports": {"TURNS": 5, "ROUNDS": 1},
    "startup": {"STARTS": 1, "SETTLED_SECONDS": 0.1, "IDLE_SECONDS": 1.0, "FRESH_STARTS": 1},
    "stopping": {"IN_FLIGHT": 2},
    "workspaces": {"FILES": 100, "TOTAL_BYTES": 1_000_000, "CHANGES": 2},
}
"""Numbers of cases that are not those of the scale."""


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
async def test_a_case_measures_something(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in SMALLER.get(name, {}).items():
        monkeypatch.setattr(f"bench.cases.{name}.{constant}", value)

    section = await CASES[name](TINY)

    assert all(table.rows for table in section.tables)
    assert f"## {section.title}" in preview(section, command="a test", load_before="0.0")
