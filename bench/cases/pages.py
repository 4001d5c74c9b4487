"""Pages: a newcomer, the first load, an inbox of 10,000 requests, and 200 viewers of one run."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
from playwright.async_api import Browser

from bench.browsing import Load, Steps, approve_first_call, chromium, measure_loads
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.viewers import Viewer, reconnect_often
from bench.waiting import eventually
from bench.world import World

WAITING = 10_000
VIEWERS = 200
RECONNECTS = 20
LOADS = 5
LOOKS = 40

LIVE = Job(tool_turns=30, delay_ms=300)
"""Runs long enough for 200 viewers to follow it, at the pace of a fast model."""

MORE_STREAMS = {"PERDURE_MAX_STREAMS_PER_USER": str(2 * VIEWERS)}
"""One user has all viewers here."""

CROWD = Path(__file__).parents[1].joinpath("crowd.sql").read_text(encoding="utf-8")


async def measure(scale: Scale) -> Section:
    """A newcomer on a fresh stack; then everything else on it."""
    del scale
    steps = Steps(time.perf_counter())
    async with (
        chromium() as browser,
        World.running(MORE_STREAMS) as world,
        perdure(world) as ours,
    ):
        steps.add("`perdure up` is ready, on a new home")
        say("a newcomer approves a tool call")
        await approve_first_call(browser, ours.http, steps)
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        waiting = await _start_waiting(ours)
        loads = await _measure_loads(browser, ours, waiting)
        say(f"{VIEWERS} viewers of one execution")
        viewers, late = await _follow(ours)
        say(f"{RECONNECTS} reconnects")
        broken = await _reconnect(ours)
        say(f"an inbox with {WAITING:,} requests")
        inbox_ms = await _look_at_inbox(ours, waiting)
    wrong = broken + sum(_count_wrong(viewer.seqs) for viewer in viewers)
    return _describe(steps, loads, inbox_ms, late, wrong)


async def _start_waiting(ours: Perdure) -> dict[str, Any]:
    """An execution that waits for a person."""
    execution = await ours.execute(await ours.task(Job(asks=True)), fresh_nonces(1)[0])
    await eventually(ours.open_requests, within=60, what="the request")
    return execution


async def _measure_loads(
    browser: Browser, ours: Perdure, waiting: Mapping[str, Any]
) -> Mapping[str, Sequence[Load]]:
    [request] = await ours.open_requests()
    paths = {
        "inbox": "/inbox",
        "request": f"/inbox/{request}",
        "execution": f"/executions/{waiting['id']}",
    }
    found: dict[str, Sequence[Load]] = {}
    for name, path in paths.items():
        say(f"first loads of the page: {name}")
        found[name] = await measure_loads(browser, ours.http, path, LOADS)
    return found


async def _follow(ours: Perdure) -> tuple[Sequence[Viewer], Sequence[float]]:
    """Viewers of an execution to its end, and how late each event was since all had connected."""
    execution = await ours.execute(await ours.task(LIVE), fresh_nonces(1)[0])
    viewers = [Viewer() for _ in range(VIEWERS)]
    path = execution["_links"]["events"]
    following = [asyncio.create_task(viewer.follow(ours.http, path)) for viewer in viewers]
    await asyncio.gather(*(viewer.is_open.wait() for viewer in viewers))
    since = time.time()
    await asyncio.gather(*following)
    return viewers, sorted(ms for viewer in viewers for ms in viewer.late_ms(since))


async def _reconnect(ours: Perdure) -> int:
    """How many events are lost or doubled over many forced reconnects."""
    execution = await ours.execute(await ours.task(LIVE), fresh_nonces(1)[0])
    viewer = await reconnect_often(ours.http, execution["_links"]["events"], RECONNECTS)
    return _count_wrong(viewer.seqs)


def _count_wrong(seqs: Sequence[int]) -> int:
    lost = max(seqs) - len(set(seqs))
    return lost + len(seqs) - len(set(seqs))


async def _look_at_inbox(ours: Perdure, waiting: Mapping[str, Any]) -> Sequence[float]:
    """Milliseconds of the page with many open requests, at the gateway."""
    await ours.rows.execute(CROWD.replace(":execution", f"'{waiting['id']}'"))
    await ours.rows.execute("ANALYZE input_requests, executions")
    made = (await ours.http.post("/api/v1/sign-in-codes")).raise_for_status().json()
    async with httpx2.AsyncClient(base_url=ours.http.base_url) as visitor:
        await visitor.post("/sign-in", data=dict(httpx2.URL(made["url"]).params))
        taken: list[float] = []
        for _ in range(LOOKS):
            began = time.perf_counter()
            page = (await visitor.get("/inbox")).raise_for_status()
            taken.append(1000 * (time.perf_counter() - began))
    if f"{WAITING:,}" not in page.text:
        raise ValueError("the inbox does not show all requests")
    return taken[1:]


def _describe(
    steps: Steps,
    loads: Mapping[str, Sequence[Load]],
    inbox_ms: Sequence[float],
    late: Sequence[float],
    wrong: int,
) -> Section:
    every = [load for found in loads.values() for load in found]
    rows = [
        (
            name,
            format_figure(max(load.kilobytes for load in found)),
            str(Spread.of(load.paint_ms for load in found)),
            format_figure(max(load.shift for load in found)),
        )
        for name, found in loads.items()
    ]
    paint = max(statistics.median(load.paint_ms for load in found) for found in loads.values())
    return Section(
        "Pages",
        f"In Chromium, on the machine of the gateway. {VIEWERS} viewers have an event stream each "
        f"of one execution with {LIVE.model_calls} model calls; an event is late by the time from "
        "its transaction to its arrival. The inbox has "
        f"{WAITING:,} open requests: {Spread.of(inbox_ms)} ms at the gateway.",
        [
            Table("From `perdure up` to an approved tool call", ("step", "s since the start"),
                  [(what, format_figure(seconds)) for what, seconds in steps.done]),
            Table("First load, with an empty cache",
                  ("page", "KB over the wire", "first paint ms", "layout shift"), rows),
            Table(f"Events to {VIEWERS} viewers", ("events", "p50 ms", "p95 ms", "max ms"),
                  [(f"{len(late):,}",
                    *(format_figure(late[int(len(late) * p)]) for p in (0.5, 0.95)),
                    format_figure(late[-1]))]),
        ],
        [
            Bar("from `perdure up` to an approved tool call on a page", steps.done[-1][1], 120,
                unit="s"),
            Bar("first page load", max(load.kilobytes for load in every), 120, unit="KB"),
            Bar("first paint, the slowest page", paint, 300, unit="ms"),
            Bar("layout shift", max(load.shift for load in every), 0),
            Bar(f"inbox with {WAITING:,} open requests, p95",
                sorted(inbox_ms)[int(len(inbox_ms) * 0.95)], 100, unit="ms"),
            Bar(f"event to {VIEWERS} viewers, p95", late[int(len(late) * 0.95)], 150, unit="ms"),
            Bar(f"events lost or doubled, also over {RECONNECTS} reconnects", wrong, 0),
        ],
    )  # fmt: skip
