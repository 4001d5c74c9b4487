import asyncio

import pytest
from temporalio.client import WorkflowHistory
from temporalio.workflow import NondeterminismError

from bench.replaying import replay
from tests.replay.test_replay import HISTORIES


async def load(behaviour: str) -> str:
    return await asyncio.to_thread((HISTORIES / f"{behaviour}.json").read_text, encoding="utf-8")


async def test_each_replay_has_its_cpu_time() -> None:
    history = WorkflowHistory.from_json("execution-1", await load("waits_for_a_person"))
    spent = await replay(history, 3)
    assert len(spent) == 3
    assert all(0 < milliseconds < 1_000 for milliseconds in spent)


async def test_a_history_that_does_not_match_is_an_error() -> None:
    changed = (await load("waits_for_a_person")).replace("call_claude", "call_another")
    with pytest.raises(NondeterminismError):
        await replay(WorkflowHistory.from_json("execution-1", changed), 1)
