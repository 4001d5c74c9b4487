"""Notifications after a worker is killed or a delivery's workflow is terminated."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import select, text

from claude.scripted import ScriptedModelServer
from contracts.names import notification_workflow_id
from domain.executions.states import ExecutionStatus
from domain.people.notifications import Kind
from persistence.notifications import queries
from persistence.notifications.deliveries import NEXT_LOOK
from persistence.tables.ledger import NotificationRow
from tests.engine.driver import Engine
from tests.engine.running import WorkerPlace, run_worker, worker_process
from tests.runtime.receiver import answer, receiving
from tests.waiting import WITHIN_SECONDS, eventually
from tests.workflows.notifications.deliveries import (
    KEY,
    SETTINGS,
    SIGNING_KEY,
    attempts_of,
    hook,
    notifications_of,
    verify_messages,
    wait_until_over,
)

WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WAIT = text(f"SELECT pid {WAITING}")
BREAK = text(f"SELECT pg_terminate_backend(pid, 10000) {WAITING}")


@asynccontextmanager
async def killed_worker(
    place: WorkerPlace, scripted_model: ScriptedModelServer
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker as it is deployed, which the block kills."""
    more = {
        "PERDURE_SECRETS_KEY": KEY,
        "PERDURE_OUTBOUND_ALLOW": "127.0.0.1",
    }
    log = place.home / f"log-{os.urandom(4).hex()}"
    async with worker_process(place, scripted_model, log=log, more=more) as process:
        yield process
        await kill(process)
        (place.home / "ready").unlink()
    assert KEY not in log.read_text()
    assert SIGNING_KEY not in log.read_text()


async def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a worker unless it has ended."""
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_an_attempt_that_a_crash_interrupts_is_repeated_with_the_same_id(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving() as receiver:
        receiver.may_answer.clear()
        async with killed_worker(place, scripted_model):
            run = await idle.start({"text": "x"}, columns={"notification_config": hook(receiver)})
            await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
        receiver.may_answer.set()
        async with run_worker(place, scripted_model, **SETTINGS):
            row = await wait_until_over(idle, run.id)
    assert (row.status, row.attempts) == ("delivered", 2)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert len(verify_messages(receiver)) == 2
    lost, taken = await attempts_of(idle, row.id)
    assert (lost.duration_ms, lost.error) == (None, None)
    assert taken.status_code == 204


@pytest.mark.long  # the test above also kills a worker that has sent a message
async def test_an_unrecorded_delivery_is_repeated(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving() as receiver:
        receiver.may_answer.clear()
        async with killed_worker(place, scripted_model) as worker:
            run = await idle.start({"text": "x"}, columns={"notification_config": hook(receiver)})
            await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
            async with idle.database.transaction() as session:
                # Its end can't be written while this lock is held; both are gone before it.
                rows = select(NotificationRow).where(NotificationRow.execution_id == run.id)
                await session.execute(rows.with_for_update())
                receiver.may_answer.set()

                async def answered() -> bool:
                    return all(task.done() for task in receiver.served)

                await eventually(answered)
                await eventually(lambda: idle.database.raw.run(WAIT, {}), what="its end")
                await kill(worker)
                await idle.database.raw.run(BREAK, {})
        async with run_worker(place, scripted_model, **SETTINGS):
            row = await wait_until_over(idle, run.id)
    assert (row.status, row.attempts) == ("delivered", 2)
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert len(receiver.received) == 2


async def test_the_next_worker_starts_pending_deliveries(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving() as receiver:
        target = hook(receiver)["webhooks"][0]
        async with idle.database.transaction() as session:
            row = await queries.create_test(session, idle.user_id, Kind.WEBHOOK, target)
        async with run_worker(place, scripted_model, **SETTINGS):
            await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
    [message] = verify_messages(receiver)
    assert message["type"] == "notification.test"
    assert receiver.received[0].headers["webhook-id"] == str(row.id)


async def test_a_delivery_that_was_terminated_in_temporal_has_failed(
    place: WorkerPlace, idle: Engine, scripted_model: ScriptedModelServer
) -> None:
    async with receiving(answer(503)) as receiver, run_worker(place, scripted_model, **SETTINGS):
        run = await idle.start({"text": "x"}, columns={"notification_config": hook(receiver)})
        await asyncio.wait_for(receiver.arrived.wait(), WITHIN_SECONDS)
        row = await wait_until_dispatched(idle, run.id)
        handle = idle.client.get_workflow_handle(notification_workflow_id(row.id))
        await handle.terminate()
        async with idle.database.transaction() as session:
            # An hour later.
            now = await session.get_one(NotificationRow, row.id)
            now.start_at = now.created_at
        ended = await wait_until_over(idle, run.id)
    assert ended.status == "failed"
    assert ended.error == "The delivery's workflow was ended in Temporal."
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def wait_until_dispatched(engine: Engine, execution_id: UUID) -> NotificationRow:
    """The execution's notification, when the relay has noted that Temporal has it."""

    async def noted() -> NotificationRow | None:
        [row] = await notifications_of(engine, execution_id)
        later = row.created_at + NEXT_LOOK / 2
        return row if row.start_at is not None and row.start_at > later else None

    return await eventually(noted)
