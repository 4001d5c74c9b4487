"""What is measured, one module per question; each brings up a world of its own."""

from collections.abc import Awaitable, Callable, Mapping

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
    profile,
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
from bench.scale import Scale

CASES: Mapping[str, Callable[[Scale], Awaitable[Section]]] = {
    "startup": startup.measure,
    "alone": alone.measure,
    "throughput": throughput.measure,
    "turns": turns.measure,
    "waiting": waiting.measure,
    "profile": profile.measure,
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
