"""kill -9 of any part at any moment, drawn from a seed, until all work is done."""

import asyncio
import random
from dataclasses import dataclass

import pytest

from tests.chaos import accounts, jobs
from tests.chaos.jobs import Job
from tests.chaos.stack import PARTS, Part, Stack

WORK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many executions run, and how many kills they have to survive."""

    executions: int
    kills: int
    kill_everything: int = 0


def crowd(chance: random.Random, count: int) -> list[Job]:
    """Jobs of every kind: quick and slow to think and to run, one call in a turn and two."""
    return [
        Job(
            f"job-{number}",
            steps=chance.randint(2, 8),
            think_ms=chance.choice([0, 20, 200, 1000]),
            command_seconds=chance.choice([0, 0.1, 0.5]),
            beside=chance.random() < 0.5,
        )
        for number in range(count)
    ]


async def kill_parts(stack: Stack, chance: random.Random, plan: Plan) -> int:
    """Kill parts as planned; returns how many of the kills may interrupt a model call."""
    kills: list[Part | None] = [chance.choice(PARTS) for _ in range(plan.kills)]
    kills += [None] * plan.kill_everything
    chance.shuffle(kills)
    for part in kills:
        # This sleep waits for no condition: the time of the next kill is random.
        await asyncio.sleep(chance.uniform(0.2, 3))
        await (stack.kill(part) if part else stack.kill_everything())
    return sum(part in {None, "worker", "postgres"} for part in kills)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seed", "plan"),
    [
        (1, Plan(executions=10, kills=6)),
        *((seed, Plan(30, kills=20, kill_everything=2)) for seed in range(2, 8)),
    ],
)
async def test_no_part_is_missed(stack: Stack, seed: int, plan: Plan) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    started = await jobs.begin(stack, await jobs.define(stack), crowd(chance, plan.executions))
    async with asyncio.TaskGroup() as group:
        killing = group.create_task(kill_parts(stack, chance, plan))
        group.create_task(jobs.finish(stack, started, within=WORK_SECONDS))
    repeats = await accounts.check_settled(stack, started)
    assert repeats.most <= killing.result()
