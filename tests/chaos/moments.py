"""When to kill: which calls and commands of an execution are in flight, seen from outside."""

import os

import psutil

from claude.scripted.request_log import LoggedCall
from tests.chaos.stack import Stack
from tests.stack import is_running
from tests.waiting import eventually


def model_calls_in_flight(stack: Stack) -> list[LoggedCall]:
    """Calls that the model has received and not answered."""
    return [call for call in stack.model.calls if call.outcome == "open"]


async def during_model_calls(stack: Stack, count: int = 1) -> None:
    """Return once so many calls of the model are in flight."""

    async def are_in_flight() -> bool:
        return len(model_calls_in_flight(stack)) >= count

    await eventually(are_in_flight, what=f"{count} model calls in flight")


async def during_command(duration: str) -> list[psutil.Process]:
    """Return while `sleep duration` runs, with its processes."""

    async def runs() -> list[psutil.Process]:
        return sleeping(duration)

    return await eventually(runs, what=f"sleep {duration}")


def new_duration() -> str:
    """Seconds, years of them, that no other `sleep` on this machine has."""
    return f"6{int.from_bytes(os.urandom(5))}"


def sleeping(duration: str) -> list[psutil.Process]:
    """The processes that are `sleep duration`, wherever they are."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] == ["sleep", duration] and is_running(process)
    ]
