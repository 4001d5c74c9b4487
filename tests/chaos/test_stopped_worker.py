"""A worker that is stopped past its heartbeat and continued: it has lost, and does no harm."""

import hashlib
from collections.abc import Sequence

import psutil
import pytest

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_command, during_model_calls, sleeping
from tests.chaos.stack import Stack

# Temporal hands tasks to the stopped worker as long as its connections stand: each is missed after
# 5 s, or 10 s where it is one of the workflow's.
TAKEN_OVER_SECONDS = 90.0

ROWS = """
SELECT xmin, x::text AS row FROM executions x WHERE id = $1
UNION ALL SELECT xmin, x::text FROM messages x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM model_calls x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM tool_calls x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM execution_events x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM input_requests x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM outbox x WHERE execution_id = $1
ORDER BY row
"""


async def fingerprint(stack: Stack, execution_id: str) -> str:
    """Every row with the transaction that wrote it last: equal means that nobody wrote."""
    rows = [f"{row['xmin']} {row['row']}" for row in await stack.rows(ROWS, execution_id)]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def holder(workers: Sequence[psutil.Process], stack: Stack) -> psutil.Process:
    """The worker that has talked to the model: the one execution so far is in its hands."""
    port = int(stack.model.base_url.rpartition(":")[2])
    [found] = [
        worker
        for worker in workers
        if any(c.raddr and c.raddr.port == port for c in worker.net_connections())
    ]
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("during", ["command", "model_call"])
async def test_another_takes_over_and_the_stopped_one_writes_nothing(
    stack: Stack, during: str
) -> None:
    workers = [psutil.Process(stack.pid("worker")), psutil.Process((await stack.add_worker()).pid)]
    task_id = await jobs.define(stack)
    job = Job(during, steps=2, think_ms=2000, hangs_once="603" if during == "command" else "")
    started = await jobs.begin(stack, task_id, [job])
    await (during_command("603") if during == "command" else during_model_calls(stack))
    stopped = holder(workers, stack)
    stopped.suspend()
    try:
        await jobs.finish(stack, started, within=TAKEN_OVER_SECONDS)
        repeats = await accounts.settled(stack, started)
        assert sleeping("603") == []
        [execution_id] = started
        before = await fingerprint(stack, execution_id)
    finally:
        stopped.resume()
    # It still works, so it has come to itself; what it does now is all it will ever do.
    [other] = [worker for worker in workers if worker is not stopped]
    other.suspend()
    try:
        more = await jobs.begin(stack, task_id, [Job("after", steps=1)])
        await jobs.finish(stack, more, within=TAKEN_OVER_SECONDS)
    finally:
        other.resume()
    assert await fingerprint(stack, execution_id) == before
    assert await accounts.settled(stack, started) == repeats
    assert repeats.total == (1 if during == "model_call" else 0)
