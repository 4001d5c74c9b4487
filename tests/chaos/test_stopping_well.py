"""SIGTERM and cancel: the current step ends, and no other starts.

`bench/cases/stopping.py` and `bench/cases/cancel.py` measure how long that takes. In `make test`,
`test_handover.py` and `test_cancel.py` in `tests/workflows` check the same in one process.
"""

import signal
from datetime import UTC, datetime
from uuid import UUID

import psutil
import pytest
from temporalio.api.enums.v1 import EventType

from contracts.names import workflow_id
from runtime.settings import Settings
from runtime.temporal import connect
from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import (
    during_command,
    during_model_calls,
    model_calls_in_flight,
    new_duration,
)
from tests.chaos.stack import Stack
from tests.stack import is_running
from tests.waiting import eventually

pytestmark = pytest.mark.long

EXECUTIONS = 20
ANSWER_MS = 3000
"""After the gate is opened: by then the worker has received SIGTERM and drains."""


async def test_a_worker_that_is_asked_to_stop_hands_over_and_repeats_nothing(
    shared_stack: Stack,
) -> None:
    """The worker stops after the current step of each of twenty executions."""
    crowd = [
        Job(f"crowd-{n}", steps=2, is_gated=True, think_ms=ANSWER_MS) for n in range(EXECUTIONS)
    ]
    started = await jobs.begin(shared_stack, await jobs.define(shared_stack), crowd)
    await during_model_calls(shared_stack, EXECUTIONS)
    worker = psutil.Process(shared_stack.signal("worker", signal.SIGTERM))
    for job in crowd:
        job.open_gate(shared_stack)

    async def stopped() -> bool:
        return not is_running(worker)

    await eventually(stopped, what="the worker's end")
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).total == 0
    cut = "SELECT FROM input_requests WHERE execution_id = ANY($1::uuid[])"
    assert not await shared_stack.rows(cut, list(started))
    for execution_id in started:
        assert await handed_over(shared_stack, execution_id)


async def handed_over(stack: Stack, execution_id: str) -> bool:
    """Whether the first `call_claude` ended between the current model call and the next one."""
    current, following, *_ = await stack.rows(
        "SELECT started_at, completed_at FROM model_calls WHERE execution_id = $1 ORDER BY turn",
        execution_id,
    )
    client = await connect(Settings(temporal_address=stack.up.facts()["temporal_address"]))
    history = await client.get_workflow_handle(workflow_id(UUID(execution_id))).fetch_history()
    completed = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    ended = next(event for event in history.events if event.event_type == completed)
    ended_at: datetime = ended.event_time.ToDatetime(UTC)
    return bool(current["completed_at"] < ended_at < following["started_at"])


async def cancel(stack: Stack, execution_id: str) -> None:
    await stack.post(f"/task-executions/{execution_id}/cancel", {"reason": "enough"})


async def cancel_execution(stack: Stack, execution_id: str) -> None:
    async def is_cancelled() -> bool:
        execution = await stack.get(f"/task-executions/{execution_id}")
        return bool(execution["status"] == "cancelled")

    await eventually(is_cancelled, what="the execution's end")


async def test_a_cancel_closes_the_models_connection(shared_stack: Stack) -> None:
    started = await jobs.begin(
        shared_stack, await jobs.define(shared_stack), [Job("slow", think_ms=600_000)]
    )
    await during_model_calls(shared_stack)
    [execution_id] = started
    await cancel(shared_stack, execution_id)

    async def closed() -> bool:
        return not model_calls_in_flight(shared_stack)

    await eventually(closed, what="the end of the connection")
    await cancel_execution(shared_stack, execution_id)
    assert shared_stack.model.calls[-1].outcome == "disconnected"


async def test_a_cancel_ends_the_commands_processes(shared_stack: Stack) -> None:
    duration = new_duration()
    job = Job("long", hangs_once=duration)
    started = await jobs.begin(shared_stack, await jobs.define(shared_stack), [job])
    processes = await during_command(duration)
    [execution_id] = started
    await cancel(shared_stack, execution_id)

    async def ended() -> bool:
        return not any(map(is_running, processes))

    await eventually(ended, what="the end of the command")
    await cancel_execution(shared_stack, execution_id)
