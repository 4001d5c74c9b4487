"""SIGTERM of the worker: how soon each execution is handed over after its current step."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio.api.enums.v1 import EventType

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.waiting import eventually
from bench.world import Calls, World

IN_FLIGHT = 20
STEP = Job(tool_turns=1, delay_ms=5000)
"""Its first call is the current step: long enough for all executions to be in theirs."""

LIMIT_SECONDS = 2.0
UNDER_WAY_SECONDS = 60.0

FIRST_CALLS = """
SELECT e.workflow_id, c.completed_at FROM executions e
JOIN model_calls c ON c.execution_id = e.id AND c.turn = 1 WHERE e.task_id = $1
"""


async def measure(scale: Scale) -> Section:
    """Stop the worker while all are in their first call, and see them to their end."""
    del scale
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        say(f"SIGTERM with {IN_FLIGHT} in flight")
        repeats = await _stop_worker(world, ours)
        seconds = await _measure_handovers(ours)
    rows = [(str(Spread.of(seconds)), format_figure(repeats))]
    return Section(
        f"SIGTERM with {IN_FLIGHT} executions in flight",
        "The model takes 5 s, and all are in their first call. Seconds from the record of its "
        "answer to the end of the activity in Temporal's history, which hands the execution over.",
        [Table("After the signal", ("handed over after s", "calls repeated"), rows)],
        [
            Bar(
                "SIGTERM: handed over after the step, the last",
                max(seconds),
                LIMIT_SECONDS,
                unit="s",
            ),
            Bar("SIGTERM: model calls repeated", repeats, 0),
        ],
    )


async def _stop_worker(world: World, ours: Perdure) -> int:
    """Stop the worker in the middle; how many model calls were made again."""
    before = (await world.calls()).count
    flood = asyncio.create_task(ours.run(STEP, fresh_nonces(IN_FLIGHT), in_flight=IN_FLIGHT))

    async def are_in_their_first() -> bool:
        return len((await world.calls()).having("open")) == IN_FLIGHT

    await eventually(are_in_their_first, within=UNDER_WAY_SECONDS, what="all first calls")
    await ours.end_worker(signal.SIGTERM)
    await flood
    return Calls((await world.calls()).requests[before:]).repeats().total()


async def _measure_handovers(ours: Perdure) -> Sequence[float]:
    """From the end of each first call to the end of the first activity."""
    found = await ours.rows.fetch(FIRST_CALLS, await ours.task(STEP))
    return [
        (await _first_end(ours, row["workflow_id"]) - row["completed_at"]).total_seconds()
        for row in found
    ]


async def _first_end(ours: Perdure, workflow_id: str) -> datetime:
    """The end of a workflow's first activity."""
    history = await ours.history(workflow_id)
    completed = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    first = next(event for event in history.events if event.event_type == completed)
    ended_at: datetime = first.event_time.ToDatetime(UTC)
    return ended_at
