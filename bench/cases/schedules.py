"""Schedules: how soon a fire reaches the model, and how long a thousand of them take to apply."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.systems.system import WARM_UP
from bench.waiting import eventually
from bench.world import World

TOGETHER = 20
"""Fires at the same minute, as at nine o'clock (chosen)."""

SCHEDULES = 1000
EVERY_MINUTE = "* * * * *"
ONCE_A_YEAR = "0 0 1 1 *"

TWO_MINUTES = 120.0
ROOM = timedelta(seconds=5)
"""Before the next minute, or the minute after it is taken: a schedule takes a moment to make."""

FIRED = """
SELECT extract(epoch FROM c.started_at - (e.trigger_metadata ->> 'scheduled_at')::timestamptz)
FROM executions e JOIN model_calls c ON c.execution_id = e.id AND c.turn = 1
WHERE e.task_id = ANY($1) AND (e.trigger_metadata ->> 'scheduled_at')::timestamptz = $2
"""
OUT_OF_STEP = "SELECT count(*) FROM schedules WHERE revision <> applied_revision"


async def measure(scale: Scale) -> Section:
    """One fire alone, many at the same minute, then a thousand scheduled tasks."""
    del scale
    async with World.running() as world, perdure(world) as ours:
        await ours.run(Job(), fresh_nonces(WARM_UP), in_flight=WARM_UP)
        alone = await _fires(ours, 1)
        together = await _fires(ours, TOGETHER)
        seconds = await _apply(world, ours)
    rows = [
        ("one fire", str(Spread.of(alone))),
        (f"{TOGETHER} fires of one minute", str(Spread.of(together))),
        (f"{SCHEDULES:,} scheduled tasks applied", format_figure(seconds)),
    ]
    return Section(
        "Schedules",
        "Seconds from the minute that a schedule names to the intent of the first model call, on "
        "record; and of `perdure apply` on a directory of files, each a task with its schedule, "
        "until Temporal has all.",
        [Table("Fires and schedules", ("what", "s"), rows)],
        [
            Bar("from a schedule's time to the model call", max(alone), 1.0, unit="s"),
            Bar(f"`perdure apply` of {SCHEDULES:,} scheduled tasks", seconds, 60.0, unit="s"),
        ],
    )


async def _fires(ours: Perdure, count: int) -> Sequence[float]:
    """How long after its minute each of these schedules reached the model."""
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    if due - datetime.now(UTC) < ROOM:
        due += timedelta(minutes=1)
    say(f"{count} schedules, due at {due:%R}")
    tasks = [await _task(ours, nonce, EVERY_MINUTE) for nonce in fresh_nonces(count)]

    async def read_delays() -> Sequence[float]:
        found = await ours.rows.fetch(FIRED, tasks, due)
        return [float(row[0]) for row in found] if len(found) == count else []

    seconds = await eventually(read_delays, within=TWO_MINUTES, what=f"{count} fires")
    for task in tasks:
        (await ours.http.delete(f"/api/v1/tasks/{task}")).raise_for_status()
    return seconds


async def _apply(world: World, ours: Perdure) -> float:
    """Seconds until all tasks exist and each schedule is in Temporal."""
    files = world.directory / "tasks"
    files.mkdir()
    for nonce in fresh_nonces(SCHEDULES):
        (files / f"{nonce}.json").write_text(json.dumps(_definition(nonce, ONCE_A_YEAR)))
    say(f"applying {SCHEDULES} scheduled tasks")
    began = time.perf_counter()
    await world.command("apply", "-f", str(files))

    async def all_synchronised() -> bool:
        waiting: int = await ours.rows.fetchval(OUT_OF_STEP)
        return waiting == 0

    await eventually(all_synchronised, within=TWO_MINUTES, what="the schedules in Temporal")
    return time.perf_counter() - began


async def _task(ours: Perdure, nonce: str, cron: str) -> str:
    response = await ours.http.post("/api/v1/tasks", json=_definition(nonce, cron))
    task: str = response.raise_for_status().json()["id"]
    return task


def _definition(nonce: str, cron: str) -> dict[str, Any]:
    job = Job()
    return {
        "name": nonce,
        "prompt_template": job.prompt(nonce),
        "allowed_tools": [job.tool],
        "sdk_options": {},
        "is_scheduled": True,
        "schedule_enabled": True,
        "schedule_cron": cron,
    }
