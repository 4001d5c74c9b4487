"""SIGTERM and cancel: the step in hand, and nothing more."""

import signal
import time

import psutil

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_command, during_model_calls, model_calls_in_flight
from tests.chaos.stack import Stack
from tests.cli.running import is_running
from tests.waiting import eventually

EXECUTIONS = 20
STEP_MS = 3000
HANDED_OVER_SECONDS = 2.0
CANCELLED_SECONDS = 1.0


async def test_a_worker_that_is_asked_to_stop_hands_over_and_repeats_nothing(
    shared_stack: Stack,
) -> None:
    """Two seconds beyond the step in hand, for twenty executions at once."""
    crowd = [Job(f"crowd-{n}", steps=2, think_ms=STEP_MS) for n in range(EXECUTIONS)]
    started = await jobs.begin(shared_stack, await jobs.define(shared_stack), crowd)
    await during_model_calls(shared_stack, EXECUTIONS)
    asked_at = time.monotonic()
    worker = psutil.Process(shared_stack.signal("worker", signal.SIGTERM))

    async def stopped() -> bool:
        return not is_running(worker)

    await eventually(stopped, what="the worker's end")
    took = time.monotonic() - asked_at
    await jobs.finish(shared_stack, started, within=60)
    assert (await accounts.settled(shared_stack, started)).total == 0
    cut = "SELECT FROM input_requests WHERE execution_id = ANY($1::uuid[])"
    assert not await shared_stack.rows(cut, list(started))
    assert took < STEP_MS / 1000 + HANDED_OVER_SECONDS


async def cancel(stack: Stack, execution_id: str) -> float:
    await stack.post(f"/task-executions/{execution_id}/cancel", {"reason": "enough"})
    return time.monotonic()


async def cancelled(stack: Stack, execution_id: str) -> None:
    async def is_cancelled() -> bool:
        execution = await stack.get(f"/task-executions/{execution_id}")
        return bool(execution["status"] == "cancelled")

    await eventually(is_cancelled, what="the execution's end")


async def test_a_cancel_closes_the_models_connection(shared_stack: Stack) -> None:
    started = await jobs.begin(
        shared_stack, await jobs.define(shared_stack), [Job("slow", think_ms=60_000)]
    )
    await during_model_calls(shared_stack)
    [execution_id] = started
    asked_at = await cancel(shared_stack, execution_id)

    async def closed() -> bool:
        return not model_calls_in_flight(shared_stack)

    await eventually(closed, what="the end of the connection")
    assert time.monotonic() - asked_at < CANCELLED_SECONDS
    await cancelled(shared_stack, execution_id)
    assert shared_stack.model.calls[-1].outcome == "disconnected"


async def test_a_cancel_ends_the_commands_processes(shared_stack: Stack) -> None:
    job = Job("long", hangs_once="600")
    started = await jobs.begin(shared_stack, await jobs.define(shared_stack), [job])
    processes = await during_command("600")
    [execution_id] = started
    asked_at = await cancel(shared_stack, execution_id)

    async def ended() -> bool:
        return not any(map(is_running, processes))

    await eventually(ended, what="the end of the command")
    assert time.monotonic() - asked_at < CANCELLED_SECONDS
    await cancelled(shared_stack, execution_id)
