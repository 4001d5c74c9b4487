"""A worker that is stopped past its heartbeat and continued: it has lost, and does no harm.

In `make test`, `tests/activities/test_late_attempts.py` checks an attempt that comes too late.
"""

import psutil
import pytest

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_command, during_model_calls, new_duration, sleeping
from tests.chaos.stack import Stack

ROWS = """
SELECT NULL AS xmin, CAST(to_jsonb(x) - CAST('{cost_usd, scripted_cost_usd, input_tokens,
    output_tokens, cache_read_tokens, cache_write_tokens}' AS text[]) AS text) AS row
FROM executions x WHERE id = $1
UNION ALL SELECT xmin, x::text FROM messages x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM model_calls x WHERE execution_id = $1 AND status <> 'lost'
UNION ALL SELECT xmin, x::text FROM tool_calls x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM execution_events x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM input_requests x WHERE execution_id = $1
UNION ALL SELECT xmin, x::text FROM signals x WHERE execution_id = $1
ORDER BY row
"""
"""Without the cost of a lost call: if its answer arrives after all, it is charged instead of the
estimate, whichever attempt writes now."""


async def read_rows(stack: Stack, execution_id: str) -> list[str]:
    """Every row with the transaction that wrote it last: equal means that nothing was written."""
    return [f"{row['xmin']} {row['row']}" for row in await stack.rows(ROWS, execution_id)]


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_another_takes_over_and_the_stopped_one_writes_nothing(shared_stack: Stack) -> None:
    stack, task_id = shared_stack, await jobs.define(shared_stack)
    duration = new_duration()
    thinks, runs = Job("thinks", steps=1, is_gated=True), Job("runs", hangs_once=duration)
    gated = Job("gated", is_gated=True)
    started = await jobs.begin(stack, task_id, [thinks, runs])
    longer = await jobs.begin(stack, task_id, [gated])
    await during_command(duration)
    await during_model_calls(stack, 2)
    stopped = psutil.Process(stack.pid("worker"))
    stopped.suspend()
    try:
        other = await stack.add_worker()
        await during_model_calls(stack, 4)  # both calls of the stopped worker, and both repeats
        thinks.open_gate(stack)
        await jobs.finish(stack, started)
        repeats = await accounts.check_settled(stack, started)
        assert repeats.total == repeats.most == 1
        assert sleeping(duration) == []
        before = [await read_rows(stack, execution_id) for execution_id in started]
        # One of its executions has ended, another is in other hands.
        assert await stack.rows("SELECT FROM executions WHERE status = 'running' AND attempt > 1")
    finally:
        stopped.resume()
    gated.open_gate(stack)
    await jobs.finish(stack, longer)
    assert (await accounts.check_settled(stack, longer)).most == 1
    # It works again, alone, so it has come to itself: what it did by then is all it will ever do.
    other.terminate()
    more = await jobs.begin(stack, task_id, [Job("after", steps=1)])
    await jobs.finish(stack, more)
    await accounts.check_settled(stack, more)
    assert [await read_rows(stack, execution_id) for execution_id in started] == before
    assert await accounts.check_settled(stack, started) == repeats
