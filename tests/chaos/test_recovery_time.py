"""How long a killed worker holds up those it worked for (design.md, section 12)."""

import time

import pytest

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.moments import during_model_calls
from tests.chaos.stack import Stack

EXECUTIONS = 50
BEYOND_THE_WORK_SECONDS = 7.0


def crowd(name: str) -> list[Job]:
    return [Job(f"{name}-{n}", steps=1, think_ms=8000) for n in range(EXECUTIONS)]


async def seconds_to_finish(stack: Stack, started: dict[str, Job]) -> float:
    began_at = time.monotonic()
    await jobs.finish(stack, started, within=60)
    return time.monotonic() - began_at


# Alone on a machine of two cores; among other tests it would measure those.
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_fifty_executions_are_done_soon_after_a_worker_is_there(stack: Stack) -> None:
    task_id = await jobs.define(stack)
    undisturbed = await jobs.begin(stack, task_id, crowd("undisturbed"))
    await during_model_calls(stack, EXECUTIONS)
    work_itself = await seconds_to_finish(stack, undisturbed)
    disturbed = await jobs.begin(stack, task_id, crowd("disturbed"))
    await during_model_calls(stack, EXECUTIONS)
    await stack.kill("worker")
    after_the_kill = await seconds_to_finish(stack, disturbed)
    repeats = await accounts.settled(stack, disturbed)
    assert repeats.most == 1
    assert after_the_kill - work_itself < BEYOND_THE_WORK_SECONDS, (after_the_kill, work_itself)
