"""How much is measured (enough to trust on a quiet machine, or a first look), and the progress."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Numbers of executions and rounds.

    `alone` executions of each system in turn, `rounds` of `flood` executions at 100 in flight, of
    `slow_flood` where a system makes fewer than ten a second. `waiting` executions resume at once,
    `parked` ones wait at the same time at the end.
    """

    alone: int
    alone_delayed: int
    rounds: int
    flood: int
    slow_flood: int
    turns: Sequence[int]
    long_runs: int
    waiting: int
    parked: int
    crashed: int
    hostile_seconds: float
    queued: int
    claimable: int
    all_peers: bool


FULL = Scale(
    alone=30,
    alone_delayed=10,
    rounds=4,
    flood=250,
    slow_flood=100,
    turns=(5, 50, 400),
    long_runs=3,
    waiting=1000,
    parked=10_000,
    crashed=50,
    hostile_seconds=30,
    queued=10_000,
    claimable=1_000_000,
    all_peers=True,
)
QUICK = Scale(
    alone=12,
    alone_delayed=5,
    rounds=3,
    flood=200,
    slow_flood=100,
    turns=(5, 50),
    long_runs=1,
    waiting=200,
    parked=1_000,
    crashed=50,
    hostile_seconds=10,
    queued=1_000,
    claimable=200_000,
    all_peers=False,
)


def say(what: str) -> None:
    """Print what is being measured."""
    print(f"bench: {what}", flush=True)
