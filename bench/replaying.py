"""A process that replays one history again and again as the worker does, and prints what it took.

`python -m bench.replaying FILE WORKFLOW_ID ROUNDS` prints the CPU milliseconds of each replay, the
threads of Temporal's core included.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from runtime.temporal import DATA_CONVERTER
from worker import COLLECT_AFTER, WORKFLOW_RUNNER
from workflows.execution import TaskExecution

WARM_UP = 20
"""Replays that are not counted (chosen)."""


async def replay(history: WorkflowHistory, rounds: int) -> list[float]:
    """CPU milliseconds of each replay.

    Raises:
        NondeterminismError: the workflow does not match the history.
    """

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for _ in range(WARM_UP + rounds):
            yield history

    replayer = Replayer(
        workflows=[TaskExecution], workflow_runner=WORKFLOW_RUNNER, data_converter=DATA_CONVERTER
    )
    ends = [time.process_time()]
    async with replayer.workflow_replay_iterator(histories()) as results:
        async for result in results:
            if result.replay_failure:
                raise result.replay_failure
            ends.append(time.process_time())
    return [(end - begin) * 1000 for begin, end in pairwise(ends)][WARM_UP:]


def main(file: Path, workflow_id: str, rounds: int) -> None:
    """Replay with the worker's settings of the garbage collector; one line of JSON on stdout."""
    history = WorkflowHistory.from_json(workflow_id, file.read_text(encoding="utf-8"))
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    print(json.dumps({"cpu_ms": asyncio.run(replay(history, rounds))}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
