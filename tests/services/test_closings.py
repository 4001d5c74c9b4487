"""While workers end much work, its workflows are left to the relay."""

import asyncio

from services.external_work.closings import MOST_PER_SECOND, WorkflowClosings


async def test_a_second_with_many_ends_is_followed_by_one_without_wakes() -> None:
    now = 0.5
    woken: list[str] = []

    async def wake(workflow_id: str) -> bool:
        woken.append(workflow_id)
        return True

    closings = WorkflowClosings(wake, clock=lambda: now)
    numbers = []
    for ends in (MOST_PER_SECOND + 5, MOST_PER_SECOND + 1, MOST_PER_SECOND, 3, 3):
        woken.clear()
        for number in range(ends):
            await closings.wake(f"execution-{number}")
        await asyncio.sleep(0)
        numbers.append(len(woken))
        now += 1
    assert numbers == [MOST_PER_SECOND, 0, 0, 3, 3]
