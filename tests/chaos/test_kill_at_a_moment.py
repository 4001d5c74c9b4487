"""kill -9 at the moments that the design names, with one execution each, run to its end.

In `make test`, `tests/workflows/test_crash.py` kills a worker during calls and commands, the
tutorial and the demo kill that of a stack, and `tests/cli/stack/test_up.py` kills each part.
"""

import signal
from typing import Any

import pytest

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_command, during_model_calls, new_duration, sleeping
from tests.chaos.stack import Stack
from tests.stack import is_running

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
async def task_id(shared_stack: Stack) -> str:
    return await jobs.define(shared_stack)


async def effect_checks(stack: Stack, execution_ids: Any) -> int:
    query = "SELECT FROM input_requests WHERE execution_id = ANY($1::uuid[])"
    return len(await stack.rows(query, list(execution_ids)))


async def test_worker_during_a_model_call(shared_stack: Stack, task_id: str) -> None:
    job = Job("asked", steps=2, is_gated=True)
    started = await jobs.begin(shared_stack, task_id, [job])
    await during_model_calls(shared_stack)
    await shared_stack.kill("worker")
    job.open_gate(shared_stack)
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).total == 1


async def test_worker_during_a_shell_command(shared_stack: Stack, task_id: str) -> None:
    duration = new_duration()
    started = await jobs.begin(shared_stack, task_id, [Job("ran", steps=2, hangs_once=duration)])
    [command] = await during_command(duration)
    await shared_stack.kill("worker")
    assert not is_running(command)
    assert sleeping(duration) == []
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).total == 0
    assert await effect_checks(shared_stack, started) == 1


@pytest.mark.parametrize("part", ["temporal", "api"])
async def test_what_the_loop_does_not_need_during_a_model_call(
    shared_stack: Stack, task_id: str, part: Any
) -> None:
    """The loop continues without the part; no model call is repeated."""
    job = Job(f"without-{part}", is_gated=True)
    started = await jobs.begin(shared_stack, task_id, [job])
    await during_model_calls(shared_stack)
    killed = shared_stack.signal(part, signal.SIGKILL)
    job.open_gate(shared_stack)
    await shared_stack.wait_for_return(part, killed)
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).total == 0
    assert await effect_checks(shared_stack, started) == 0


async def test_postgres_during_a_model_call(shared_stack: Stack, task_id: str) -> None:
    job = Job("unrecorded", steps=2, is_gated=True)
    started = await jobs.begin(shared_stack, task_id, [job])
    await during_model_calls(shared_stack)
    await shared_stack.kill("postgres")
    job.open_gate(shared_stack)
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).total <= 1


async def test_postgres_during_a_shell_command(shared_stack: Stack, task_id: str) -> None:
    started = await jobs.begin(
        shared_stack, task_id, [Job("unsettled", steps=2, command_seconds=4.25)]
    )
    await during_command("4.25")
    await shared_stack.kill("postgres")
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).total <= 1


async def test_everything_during_model_calls_and_commands(
    shared_stack: Stack, task_id: str
) -> None:
    duration = new_duration()
    thinking = [Job(f"thinking-{n}", steps=2, is_gated=True) for n in range(2)]
    started = await jobs.begin(
        shared_stack, task_id, [*thinking, Job("running", steps=2, hangs_once=duration)]
    )
    await during_command(duration)
    await during_model_calls(shared_stack, len(thinking))
    await shared_stack.kill_everything()
    assert sleeping(duration) == []
    for job in thinking:
        job.open_gate(shared_stack)
    await jobs.finish(shared_stack, started)
    assert (await accounts.check_settled(shared_stack, started)).most <= 1
