"""SIGTERM and cancel: the step in hand, and nothing more."""

import time

import psutil

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_command, during_model_calls, model_calls_in_flight
from tests.chaos.stack import Stack
from tests.cli.running import is_running
from tests.waiting import eventually

EXECUTIONS = 20
HANDED_OVER_SECONDS = 2.0
CANCELLED_SECONDS = 1.0


async def test_a_worker_that_is_asked_to_stop_hands_over_and_repeats_nothing(
    stack: Stack,
) -> None:
    """Two seconds beyond the step in hand, for twenty executions at once."""
    crowd = [Job(f"crowd-{n}", steps=3, think_ms=1000) for n in range(EXECUTIONS)]
    started = await jobs.begin(stack, await jobs.define(stack), crowd)
    await during_model_calls(stack, EXECUTIONS)
    worker = await stack.add_worker()
    asked_at = time.monotonic()
    first = psutil.Process(stack.pid("worker") or 0)
    first.terminate()

    async def stopped() -> bool:
        return not is_running(first)

    await eventually(stopped, what="the worker's end")
    took = time.monotonic() - asked_at
    assert worker.poll() is None
    await jobs.finish(stack, started, within=60)
    assert (await accounts.settled(stack, started)).total == 0
    assert not await stack.rows("SELECT FROM input_requests")
    assert took < 1.0 + HANDED_OVER_SECONDS


async def cancel(stack: Stack, execution_id: str) -> float:
    await stack.post(f"/task-executions/{execution_id}/cancel", {"reason": "enough"})
    return time.monotonic()


async def cancelled(stack: Stack, execution_id: str) -> None:
    async def is_cancelled() -> bool:
        execution = await stack.get(f"/task-executions/{execution_id}")
        return bool(execution["status"] == "cancelled")

    await eventually(is_cancelled, what="the execution's end")


async def test_a_cancel_closes_the_models_connection(stack: Stack) -> None:
    started = await jobs.begin(stack, await jobs.define(stack), [Job("slow", think_ms=60_000)])
    await during_model_calls(stack)
    [execution_id] = started
    asked_at = await cancel(stack, execution_id)

    async def closed() -> bool:
        return not model_calls_in_flight(stack)

    await eventually(closed, what="the end of the connection")
    assert time.monotonic() - asked_at < CANCELLED_SECONDS
    await cancelled(stack, execution_id)
    assert [call.outcome for call in stack.model.calls] == ["disconnected"]


async def test_a_cancel_ends_the_commands_processes(stack: Stack) -> None:
    job = Job("long", hangs_once="600")
    started = await jobs.begin(stack, await jobs.define(stack), [job])
    processes = await during_command("600")
    [execution_id] = started
    asked_at = await cancel(stack, execution_id)

    async def ended() -> bool:
        return not any(map(is_running, processes))

    await eventually(ended, what="the end of the command")
    assert time.monotonic() - asked_at < CANCELLED_SECONDS
    await cancelled(stack, execution_id)
