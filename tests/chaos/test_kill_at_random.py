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
    """How much is going on, and what befalls it."""

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


async def wreak(stack: Stack, chance: random.Random, plan: Plan) -> int:
    """Do what the plan says; returns how often a model call can have been cut."""
    strikes: list[Part | None] = [chance.choice(PARTS) for _ in range(plan.kills)]
    strikes += [None] * plan.kill_everything
    chance.shuffle(strikes)
    for part in strikes:
        # Not a wait for anything: the moment of the next strike is what is drawn.
        await asyncio.sleep(chance.uniform(0.2, 3))
        await (stack.kill(part) if part else stack.kill_everything())
    return sum(part in {None, "worker", "postgres"} for part in strikes)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seed", "plan"),
    [
        (1, Plan(executions=10, kills=6)),
        *(
            pytest.param(seed, Plan(30, kills=20, kill_everything=2), marks=pytest.mark.long)
            for seed in range(2, 8)
        ),
    ],
)
async def test_no_part_is_missed(stack: Stack, seed: int, plan: Plan) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    started = await jobs.begin(stack, await jobs.define(stack), crowd(chance, plan.executions))
    async with asyncio.TaskGroup() as group:
        striking = group.create_task(wreak(stack, chance, plan))
        group.create_task(jobs.finish(stack, started, within=WORK_SECONDS))
    repeats = await accounts.settled(stack, started)
    assert repeats.most <= striking.result()
