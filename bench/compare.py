"""`python -m bench.compare CHECKOUT`: this tree against another checkout, in alternating pairs.

Both stacks run at the same time, each from its own tree and `.venv`, and only one of them works at
a time. A pair is one measurement of each; the figures are medians of the ratios over the pairs.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from bench import results
from bench.figures import Section, Spread, Table
from bench.job import Job, fresh_nonces
from bench.processes import CpuMeter
from bench.systems.perdure import perdure
from bench.world import World

IN_FLIGHT = 100
FLOOD = 100
ALONE = 8
ALTERNATIONS = 4
"""Measurements of each checkout in a pair, taking turns: a shared machine changes its speed."""
WARM_UP = 100
LINE_BYTES = 1024 * 1024
ROLES = ("api", "worker", "postgres", "temporal")
FIGURES = {
    "executions/s": "at least 0.97",
    "latency alone": "at most 1.03",
    "CPU per execution": "at most 1.03",
    **{f"CPU of {role}": "" for role in ROLES},
    "history events": "at most 1.03",
    "history bytes": "at most 1.03",
}


async def serve() -> None:
    """Measure this tree each time a line comes on stdin, and print the figures as JSON."""
    async with World.running() as world, perdure(world) as system:
        await system.run(Job(), fresh_nonces(WARM_UP), in_flight=IN_FLIGHT)
        print(json.dumps({"ready": True}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            alone = await system.run(Job(), fresh_nonces(ALONE), in_flight=1)
            meter = CpuMeter(system.roles)
            began = time.perf_counter()
            await system.run(Job(), fresh_nonces(FLOOD), in_flight=IN_FLIGHT)
            seconds = time.perf_counter() - began
            cpu = {role: used / FLOOD for role, used in meter.read().items() if role != "model"}
            recorded = await system.count_recorded(Job(), fresh_nonces(1)[0])
            figures = {
                "executions/s": FLOOD / seconds,
                "latency alone": sorted(alone)[len(alone) // 2],
                "CPU per execution": sum(cpu.values()),
                **{f"CPU of {role}": cpu[role] for role in ROLES},
                "history events": recorded.history_events,
                "history bytes": recorded.history_bytes,
            }
            print(json.dumps(figures), flush=True)


async def compare(trees: Sequence[Path], pairs: int, *, store: bool) -> None:
    """Store or print the ratios of the first tree over the second one."""
    before = results.load()
    servers = []
    for tree in trees:  # one after the other: stacks that warm up at once delay each other
        servers.append(await _start(tree))
        await _read(servers[-1])
    measured: list[list[dict[str, float]]] = [[], []]
    for number in range(pairs):
        taken: list[list[dict[str, float]]] = [[], []]
        for turn in range(ALTERNATIONS):
            for index in (0, 1) if turn % 2 == 0 else (1, 0):
                taken[index].append(await _measure(servers[index]))
        for index, figures in enumerate(taken):
            measured[index].append({f: fmean(one[f] for one in figures) for f in FIGURES})
        print(f"pair {number + 1}: {measured[0][-1]} {measured[1][-1]}", flush=True)
    for server in servers:
        assert server.stdin is not None
        server.stdin.close()
        await server.wait()
    rows = []
    for figure, bar in FIGURES.items():
        ours, theirs = ([one[figure] for one in side] for side in measured)
        rows.append((figure, str(Spread.of_ratios(ours, theirs)), bar))
    columns = ("figure", "this checkout over the earlier one", "bar")
    about = (
        f"{pairs} pairs of {ALTERNATIONS} alternating measurements each; one measures {ALONE} "
        f"executions alone, then {FLOOD} with {IN_FLIGHT} in flight. "
        "Medians of the ratios, with the smallest and largest in brackets."
    )
    section = Section("Compared with an earlier checkout", about, [Table("", columns, rows)])
    command = "python -m bench.compare CHECKOUT"
    if store:
        results.record("comparison", section, command=command, load_before=before)
    else:
        print(results.preview(section, command=command, load_before=before))


async def _start(tree: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        str(tree / ".venv/bin/python"),
        str(Path(__file__)),
        "--serve",
        cwd=tree,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )


async def _measure(server: asyncio.subprocess.Process) -> dict[str, Any]:
    assert server.stdin is not None
    server.stdin.write(b"measure\n")
    return await _read(server)


async def _read(server: asyncio.subprocess.Process) -> dict[str, Any]:
    assert server.stdout is not None
    line = await server.stdout.readline()
    if not line:
        raise SystemExit("A stack did not start or ended; see its messages above.")
    figures: dict[str, Any] = json.loads(line)
    return figures


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, help="a checkout after `make setup-dev`")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--print", action="store_true", help="print the figures only")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
    else:
        trees = [Path(__file__).parents[1], arguments.checkout.resolve()]
        asyncio.run(compare(trees, arguments.pairs, store=not arguments.print))
    sys.stdout.flush()
    # Temporal's core may abort a process that exits normally (sdk-python#300).
    os._exit(0)


if __name__ == "__main__":
    main()
