"""Plans: their throughput over that of the same executions without a plan, and their histories."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from temporalio.client import Client

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.flood import flood
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.perdure import NotCompletedError, Perdure, perdure
from bench.systems.system import WARM_UP
from bench.systems.temporal_peers import history_of
from bench.waiting import eventually
from bench.world import World

STEPS = 200
BATCHES = 20
LARGE_STEPS = 1_000
LARGE_BATCHES = 10
NEEDED = 10
"""Dependencies of a step: all of the batch before in the smaller plan."""

IN_FLIGHT = 20
ENDED_SECONDS = 600.0
ANSWER = "```script\n- text: That is all there is.\n```"
"""One model call: a step without an agent has no tools."""

MOST_EVENTS = 50_000
MOST_BYTES = 50_000_000
"""Temporal's default limits of one history."""


async def measure(scale: Scale) -> Section:
    """The same steps in a plan and without, taking turns; then one plan of the largest size."""
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        flat, planned = [], []
        for _ in range(scale.rounds):
            flat.append(await _run_flat(ours))
            planned.append(await _run_plan(ours, STEPS, BATCHES))
            say(f"flat {format_figure(flat[-1])}/s, in a plan {format_figure(planned[-1])}/s")
        say(f"a plan of {LARGE_STEPS} steps")
        large = await _run_plan(ours, LARGE_STEPS, LARGE_BATCHES)
        events, size = await _measure_history(world, ours)
    ratio = Spread.of_ratios(planned, flat)
    return Section(
        "Plans",
        f"{STEPS} steps in {BATCHES} batches, each step after all of the batch before, and the "
        "same executions started without a plan. The model answers at once, in one call.",
        [
            Table(
                "Executions per second",
                ("flat", "in a plan", "in a plan over flat", f"{LARGE_STEPS} steps"),
                [(str(Spread.of(flat)), str(Spread.of(planned)), str(ratio), format_figure(large))],
            ),
            Table(
                f"The newest history of a plan of {LARGE_STEPS} steps",
                ("events", "bytes"),
                [(format_figure(events), format_figure(size))],
            ),
        ],
        [
            Bar("throughput of a plan over that of flat executions", ratio.median, 0.6,
                side="at least"),
            Bar("events of the largest plan's history", events, MOST_EVENTS),
            Bar("bytes of the largest plan's history", size, MOST_BYTES),
        ],
        [],
    )  # fmt: skip


async def _run_flat(ours: Perdure) -> float:
    """Executions per second, each requested by itself."""
    ids: list[UUID] = []

    async def one(nonce: str) -> None:
        body = {"prompt": _write_prompt(nonce)}
        response = await ours.http.post("/api/v1/task-executions", json=body)
        ids.append(UUID(response.raise_for_status().json()["id"]))

    began = time.perf_counter()
    await flood(one, fresh_nonces(STEPS), in_flight=IN_FLIGHT)
    await _wait_for_ends(ours, ids)
    return STEPS / (time.perf_counter() - began)


async def _run_plan(ours: Perdure, steps: int, batches: int) -> float:
    """Steps per second, from the request that starts the plan to its end."""
    body = {"title": "bench", "steps": _make_steps(steps, batches)}
    created = (await ours.http.post("/api/v1/plans", json=body)).raise_for_status().json()
    began = time.perf_counter()
    started = (await ours.http.post(created["_links"]["start"])).raise_for_status().json()
    await _wait_for_ends(ours, [UUID(started["execution_id"])])
    return steps / (time.perf_counter() - began)


async def _wait_for_ends(ours: Perdure, ids: Sequence[UUID]) -> None:
    """Wait until all are completed; from the database, so that asking costs the gateway nothing."""

    async def have_ended() -> bool:
        ended = "SELECT status FROM executions WHERE id = ANY($1) AND completed_at IS NOT NULL"
        statuses = [row["status"] for row in await ours.rows.fetch(ended, ids)]
        if wrong := set(statuses) - {"completed"}:
            raise NotCompletedError(f"{wrong}")
        return len(statuses) == len(ids)

    await eventually(have_ended, within=ENDED_SECONDS, what="the end of all")


def _write_prompt(nonce: str) -> str:
    return f"This is execution {nonce}.\n\n{ANSWER}"


def _make_steps(steps: int, batches: int) -> Sequence[dict[str, Any]]:
    width = steps // batches
    nonces = fresh_nonces(steps)
    return [
        {
            "key": f"s{number}",
            "prompt": _write_prompt(nonces[number]),
            "depends_on": _list_needed(number, width),
        }
        for number in range(steps)
    ]


def _list_needed(number: int, width: int) -> list[str]:
    """The first steps of the batch before that of a step."""
    first = (number // width - 1) * width
    return [f"s{first + other}" for other in range(min(width, NEEDED))] if first >= 0 else []


async def _measure_history(world: World, ours: Perdure) -> tuple[int, int]:
    """Events and bytes of the newest plan's newest run."""
    workflow_id = await ours.rows.fetchval(
        "SELECT e.workflow_id FROM plans p JOIN executions e ON e.id = p.execution_id "
        "ORDER BY p.id DESC LIMIT 1"
    )
    client = await Client.connect(world.facts["temporal_address"])
    history = await history_of(client, workflow_id)
    return history.history_events, history.history_bytes
