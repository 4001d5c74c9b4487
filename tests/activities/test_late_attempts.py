"""A worker that starts an attempt late finds out whether Temporal has repeated it."""

import asyncio
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

from activities.call_claude import confirm_late_attempt
from contracts import policies
from domain.errors import FencedOutError
from domain.ids import new_id

AT_ONCE = RetryPolicy(initial_interval=timedelta(milliseconds=10))


async def test_an_attempt_that_was_repeated_meanwhile_is_refused(temporal_client: Client) -> None:
    is_repeated, is_refused = asyncio.Event(), asyncio.Event()

    @activity.defn
    async def start_late() -> int:
        attempt = activity.info().attempt
        if attempt == 1:
            await is_repeated.wait()
        else:
            is_repeated.set()
            await is_refused.wait()
        try:
            await confirm_late_attempt()
        except FencedOutError:
            is_refused.set()
            raise
        return attempt

    queue = f"late-{new_id().hex}"
    async with Worker(temporal_client, task_queue=queue, activities=[start_late]):
        done = await temporal_client.execute_activity(
            start_late,
            id=queue,
            task_queue=queue,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=policies.HEARTBEAT_EVERY * 1.25,
            retry_policy=AT_ONCE,
        )
    assert is_refused.is_set()
    assert done > 1
