"""`python -m bench`: measure everything, or one case, and say plainly which bars are met."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

from bench import results
from bench.cases import (
    alone,
    cancel,
    crash,
    hostile,
    lists,
    mcp,
    memory,
    network,
    pages,
    plans,
    queue,
    reports,
    scaling,
    schedules,
    startup,
    stopping,
    throughput,
    turns,
    waiting,
    workspaces,
)
from bench.figures import Section
from bench.scale import FULL, QUICK, Scale

CASES: Mapping[str, Callable[[Scale], Awaitable[Section]]] = {
    "startup": startup.measure,
    "alone": alone.measure,
    "throughput": throughput.measure,
    "turns": turns.measure,
    "waiting": waiting.measure,
    "cancel": cancel.measure,
    "stopping": stopping.measure,
    "crash": crash.measure,
    "hostile": hostile.measure,
    "lists": lists.measure,
    "mcp": mcp.measure,
    "memory": memory.measure,
    "network": network.measure,
    "pages": pages.measure,
    "plans": plans.measure,
    "queue": queue.measure,
    "reports": reports.measure,
    "scaling": scaling.measure,
    "schedules": schedules.measure,
    "workspaces": workspaces.measure,
}


def main() -> None:
    """Read the arguments, measure, write or print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=CASES, help="one case; printed, not written")
    parser.add_argument("--quick", action="store_true", help="a first look: fewer peers and rounds")
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else list(CASES)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    asyncio.run(
        _measure(
            names,
            QUICK if arguments.quick else FULL,
            command,
            report=print if arguments.only else results.write,
        )
    )
    sys.stdout.flush()
    # Temporal's core may abort a process that takes its interpreter down (sdk-python#300).
    os._exit(0)


async def _measure(
    names: list[str], scale: Scale, command: str, *, report: Callable[[str], object]
) -> None:
    """Report after each case, so that a stopped run keeps its results."""
    before = results.load()
    sections: list[Section] = []
    for name in names:
        sections.append(await CASES[name](scale))
        report(results.render(sections, command=command, busy=f"{before}, {results.load()}"))


if __name__ == "__main__":
    main()
