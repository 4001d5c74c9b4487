"""A report of a long execution: how long each format takes, and how much memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

from bench.children import READY_SECONDS, ROOT, Child, temporary_directory
from bench.figures import Bar, Section, Spread, Table, format_figure
from bench.job import Job, fresh_nonces
from bench.processes import peak_memory_bytes
from bench.scale import Scale, say
from bench.systems.perdure import Perdure, perdure
from bench.world import World

TURNS = 200
TEXT_BYTES = 2_000
"""In each turn, as in the case of long conversations."""

ROUNDS = 5
MB = 1_000_000
FORMATS = ("html", "pdf", "markdown", "json")
LIMITS = {"html": 1.0, "pdf": 3.0}
"""Seconds."""

MOST_MEMORY = 300 * MB


async def measure(scale: Scale) -> Section:
    """One real execution; its report over HTTP, and in a process that does nothing else."""
    del scale
    job = Job(tool_turns=TURNS - 1, size_bytes=TEXT_BYTES)
    async with World.running() as world, perdure(world) as ours:
        say(f"an execution of {TURNS} turns")
        report = await _report_of(ours, job)
        answered = {name: await _downloads(ours, report, name) for name in FORMATS}
    say("rendering in a process of its own")
    with temporary_directory() as directory:
        alone = {name: await _alone(directory, report["content"], name) for name in FORMATS}
    rows = [
        (
            name,
            str(Spread.of(alone[name]["seconds"]).times(1000)),
            str(answered[name].times(1000)),
            format_figure(alone[name]["peak_bytes"] / MB),
            format_figure(alone[name]["size_bytes"] / 1000),
        )
        for name in FORMATS
    ]
    columns = ("format", "ms", "ms over HTTP", "peak MB", "kB")
    return Section(
        f"The report of an execution of {TURNS} turns",
        "Rendered from the stored content; the first of a process loads templates and fonts. The "
        "peak is of the process and of its children together, at any one moment (PSS).",
        [Table("Formats", columns, rows)],
        list(_bars(alone)),
    )


def _bars(alone: dict[str, dict[str, Any]]) -> list[Bar]:
    slowest = {name: max(alone[name]["seconds"]) for name in LIMITS}
    peak = max(found["peak_bytes"] for found in alone.values())
    return [
        *(Bar(f"report as {n}, the slowest", slowest[n], LIMITS[n], unit="s") for n in LIMITS),
        Bar("memory while a report is rendered", peak / MB, MOST_MEMORY / MB, unit="MB"),
    ]


async def _report_of(ours: Perdure, job: Job) -> dict[str, Any]:
    """The report of one execution of this job."""
    definition = {
        "name": "reported",
        "prompt_template": job.prompt("{{ nonce }}"),
        "allowed_tools": [job.tool],
        "sdk_options": {"max_turns": 2 * TURNS},
        "generate_report": True,
        "report_format": "html",
    }
    task = (await ours.http.post("/api/v1/tasks", json=definition)).raise_for_status().json()["id"]
    execution = await ours.execute(task, fresh_nonces(1)[0], wait=60)
    await ours.wait_until_completed(execution)
    path = f"{execution['_links']['self']}/report"
    report: dict[str, Any] = (await ours.http.get(path)).raise_for_status().json()
    return report


async def _downloads(ours: Perdure, report: dict[str, Any], name: str) -> Spread:
    seconds = []
    for _ in range(ROUNDS):
        response = await ours.http.get(report["_links"]["download"], params={"format": name})
        response.raise_for_status()
        seconds.append(response.elapsed.total_seconds())
    return Spread.of(seconds)


async def _alone(directory: Path, content: dict[str, Any], name: str) -> dict[str, Any]:
    """What a fresh process finds that renders this format again and again."""
    file = directory / "content.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    log = directory / f"{name}.log"
    child = await Child.start(
        "bench.rendering", str(file), name, str(ROUNDS), environment={}, log=log, cwd=ROOT
    )
    rendered = asyncio.ensure_future(child.read(within=READY_SECONDS))
    peak = await asyncio.to_thread(peak_memory_bytes, child.pid, until=rendered.done)
    found = await rendered
    await child.stop()
    return {**found, "peak_bytes": peak}
