"""One hostile user against all others: what another user notices while each attack lasts."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import httpx2
import psutil

from bench.attacks import ATTACKS
from bench.children import Child
from bench.figures import Bar, Section, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.processes import memory_bytes
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.waiting import eventually
from bench.world import World
from cli.tokens import mint

QUIET_SECONDS = 10.0
"""How long the others are measured without an attack."""

PAUSE_SECONDS = 0.05
"""Between two requests of the other user."""

ME_SECONDS = 30.0
"""After which a request of the other user has failed."""

MEMORY_SECONDS = 90.0
"""How long after an attack memory may take to return."""

MB = 1_000_000
KEPT_MB = 50.0
ME_MS = 250.0
SLOWER = 2.0
P95 = 20
PARTS = ("api", "worker")


@dataclass(slots=True)
class Others:
    """What another user measured: seconds of `/me` and of whole executions."""

    me: list[float] = field(default_factory=list)
    executions: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def me_p95_ms(self) -> float:
        """95 of 100 requests were faster."""
        return statistics.quantiles(self.me, n=P95)[-1] * 1000

    @property
    def execution_seconds(self) -> float:
        """The median."""
        return statistics.median(self.executions)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attack: what the others measured, and what remained."""

    name: str
    others: Others
    kept_mb: float
    restarts: int
    seen: Mapping[str, int]


async def measure(scale: Scale) -> Section:
    """The others alone, then beside each attack in turn."""
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        say("the others, undisturbed")
        alone = await _measure_for(ours, QUIET_SECONDS)
        found = [await _attack(world, ours, name, scale.hostile_seconds) for name in ATTACKS]
    return Section(
        "One hostile user",
        f"Each attack lasts {scale.hostile_seconds:.0f} s and comes from another address, with the "
        "default limits. The other user asks for `/me` every "
        f"{PAUSE_SECONDS * 1000:.0f} ms, each time on a new connection, and runs one execution "
        "after the other. Memory is of gateway and worker (PSS) above what it was before the "
        "attack, at most 90 s after it.",
        [_table(alone, found)],
        [
            Bar("`/me` beside a hostile user, p95", _worst_me(found), ME_MS, unit="ms"),
            Bar(
                "executions beside a hostile user over undisturbed ones",
                max(o.others.execution_seconds for o in found) / alone.execution_seconds,
                SLOWER,
            ),
            Bar("failed requests beside a hostile user", sum(o.others.failures for o in found), 0),
            Bar("restarts of gateway and worker", sum(o.restarts for o in found), 0),
            Bar("memory that an attack leaves", max(o.kept_mb for o in found), KEPT_MB, unit="MB"),
        ],
        [f"{o.name}: " + _format_seen(o.seen) + "." for o in found],
    )


def _worst_me(found: list[Outcome]) -> float:
    return max(outcome.others.me_p95_ms for outcome in found)


def _format_seen(seen: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in sorted(seen.items())) or "nothing"


def _table(alone: Others, found: list[Outcome]) -> Table:
    rows = [_row("none", alone, "", "")]
    rows += [_row(o.name, o.others, format_figure(o.kept_mb), str(o.restarts)) for o in found]
    columns = (
        *("attack", "`/me` p50 ms", "p95 ms", "max ms", "failed", "execution s"),
        *("memory left MB", "restarts"),
    )
    return Table("What the other user measured", columns, rows)


def _row(name: str, others: Others, kept: str, restarts: str) -> tuple[str, ...]:
    return (
        name,
        format_figure(statistics.median(others.me) * 1000),
        format_figure(others.me_p95_ms),
        format_figure(max(others.me) * 1000),
        str(others.failures),
        format_figure(others.execution_seconds),
        kept,
        restarts,
    )


async def _attack(world: World, ours: Perdure, name: str, seconds: float) -> Outcome:
    """Start the attack, measure the others until it ends, and wait until memory is back."""
    say(f"{name}, {seconds:.0f} s")
    before, started = _memory(world), _read_starts(world)
    child = await Child.start(
        "bench.attacks",
        *(name, world.facts["api_url"], _hostile_token(world), str(seconds)),
        environment={},
        log=world.directory / "attacks.log",
        cwd=world.directory,
    )
    others = await _measure_for(ours, seconds)
    seen = await child.read(within=2 * seconds + MEMORY_SECONDS)
    await child.stop()
    kept = await _memory_left(world, before)
    restarts = sum(started[part] != now for part, now in _read_starts(world).items())
    return Outcome(name, others, kept, restarts, seen)


async def _measure_for(ours: Perdure, seconds: float) -> Others:
    others = Others()
    until = time.monotonic() + seconds
    await asyncio.gather(_ask_me(ours, others, until), _execute(ours, others, until))
    return others


async def _ask_me(ours: Perdure, others: Others, until: float) -> None:
    """A new connection each time: an attack must not keep others from connecting."""
    async with httpx2.AsyncClient(
        base_url=ours.http.base_url,
        headers=ours.http.headers,
        timeout=ME_SECONDS,
        limits=httpx2.Limits(max_keepalive_connections=0),
    ) as client:
        while time.monotonic() < until:
            began = time.perf_counter()
            try:
                (await client.get("/api/v1/me")).raise_for_status()
            except httpx2.HTTPError:
                others.failures += 1
            others.me.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_SECONDS)


async def _execute(ours: Perdure, others: Others, until: float) -> None:
    while time.monotonic() < until:
        others.executions += await ours.run(Job(), fresh_nonces(1), in_flight=1)


def _memory(world: World) -> dict[str, int]:
    return {part: memory_bytes(pid) for part, pid in _pids(world).items()}


def _read_starts(world: World) -> dict[str, tuple[int, float]]:
    """Which processes the parts are: a restart makes another one."""
    return {part: (pid, psutil.Process(pid).create_time()) for part, pid in _pids(world).items()}


def _pids(world: World) -> dict[str, int]:
    return {part: world.facts["pids"][part] for part in PARTS}


async def _memory_left(world: World, before: Mapping[str, int]) -> float:
    """The growth in MB of the part that grew most, when it has shrunk or after a while."""
    least = [float("inf")]

    async def is_back() -> bool:
        now = _memory(world)
        least.append(max((now[part] - before[part]) / MB for part in PARTS))
        return min(least) <= KEPT_MB

    try:
        await eventually(is_back, within=MEMORY_SECONDS, what="memory")
    except TimeoutError:
        say("memory did not return")
    return min(least)


def _hostile_token(world: World) -> str:
    secret = world.home.ensure_secret(world.home.jwt_secret_file)
    return mint(secret, user="hostile", role="user", lives=timedelta(hours=2))
