"""SIGTERM and cancel: the step in hand, and nothing more."""

import signal
import time
from datetime import UTC, datetime
from uuid import UUID

import psutil
from temporalio.api.enums.v1 import EventType

from contracts.names import workflow_id
from runtime.settings import Settings
from runtime.temporal import connect
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
    worker = psutil.Process(shared_stack.signal("worker", signal.SIGTERM))

    async def stopped() -> bool:
        return not is_running(worker)

    await eventually(stopped, what="the worker's end")
    await jobs.finish(shared_stack, started, within=60)
    assert (await accounts.settled(shared_stack, started)).total == 0
    cut = "SELECT FROM input_requests WHERE execution_id = ANY($1::uuid[])"
    assert not await shared_stack.rows(cut, list(started))
    delays = [await handed_over_after(shared_stack, execution_id) for execution_id in started]
    assert max(delays) < HANDED_OVER_SECONDS


async def handed_over_after(stack: Stack, execution_id: str) -> float:
    """Seconds from the answer of the call in hand to the end of the first `call_claude`."""
    [call] = await stack.rows(
        "SELECT completed_at FROM model_calls WHERE execution_id = $1 AND turn = 1", execution_id
    )
    client = await connect(Settings(temporal_address=stack.up.facts()["temporal_address"]))
    history = await client.get_workflow_handle(workflow_id(UUID(execution_id))).fetch_history()
    completed = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    ended = next(event for event in history.events if event.event_type == completed)
    ended_at: datetime = ended.event_time.ToDatetime(UTC)
    answered_at: datetime = call["completed_at"]
    return (ended_at - answered_at).total_seconds()


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
