"""A killed worker holds up those it worked for by seconds; `bench/cases/crash.py` counts them."""

import time

import pytest

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_model_calls
from tests.chaos.stack import Stack

EXECUTIONS = 50
BEYOND_THE_WORK_SECONDS = 30.0
"""Seven are allowed on an idle machine; without heartbeats it would take more than a minute."""


def crowd(name: str) -> list[Job]:
    return [Job(f"{name}-{n}", steps=1, is_gated=True) for n in range(EXECUTIONS)]


async def seconds_to_finish(stack: Stack, started: dict[str, Job]) -> float:
    """How long the executions take from the model's first answers to their end."""
    began_at = time.monotonic()
    for job in started.values():
        job.open_gate(stack)
    await jobs.finish(stack, started)
    return time.monotonic() - began_at


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_fifty_executions_are_done_soon_after_a_worker_is_there(stack: Stack) -> None:
    task_id = await jobs.define(stack)
    undisturbed = await jobs.begin(stack, task_id, crowd("undisturbed"))
    await during_model_calls(stack, EXECUTIONS)
    work_itself = await seconds_to_finish(stack, undisturbed)
    disturbed = await jobs.begin(stack, task_id, crowd("disturbed"))
    await during_model_calls(stack, EXECUTIONS)
    await stack.kill("worker")
    after_the_kill = await seconds_to_finish(stack, disturbed)
    repeats = await accounts.check_settled(stack, disturbed)
    assert repeats.most == 1
    assert after_the_kill - work_itself < BEYOND_THE_WORK_SECONDS, (after_the_kill, work_itself)
