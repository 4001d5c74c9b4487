"""The relay starts and wakes the workflows that the gateway could not reach."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from claude.scripted import ScriptedModelServer
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import queries, signals
from persistence.executions.signals import append_signal
from persistence.identity import users
from runtime.dispatch import Dispatcher
from runtime.settings import Settings
from runtime.temporal import RPC_TIMEOUT, connect
from services.executions.relaying import relay_due
from tests.engine.driver import Engine, use
from tests.engine.running import make_place, open_driver
from tests.engine.storing import store
from tests.waiting import eventually

ASKING = {"tool_use": use("ask_user", question="?")}
TOOLS = ["ask_user"]


async def test_a_stored_execution_is_started(engine: Engine) -> None:
    """The gateway stored it while Temporal was unavailable."""
    run = await engine.start({"text": "here"}, dispatch=False)
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    description = await run.handle.describe()
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert attributes["PerdureTags"] == ["tests"]
    assert attributes["PerdureTitle"] == row.title
    assert row.started_at is not None
    assert (row.started_at - row.created_at).total_seconds() >= 1


async def test_tags_that_are_too_large_for_temporal_are_left_out(engine: Engine) -> None:
    tags = [f"{'é' * 45} {number}" for number in range(50)]
    run = await engine.run_to_completion({"text": "x"}, tags=tags)
    shown = (await run.handle.describe()).search_attributes["PerdureTags"]
    assert list(shown) == tags[: len(shown)] != []
    assert (await run.row()).tags == tags


async def test_a_signal_without_a_wake_up_is_read(engine: Engine) -> None:
    """The process that stored the answer died before it woke the workflow."""
    run = await engine.start(ASKING, {"text": "{last_tool_result}"}, allowed_tools=TOOLS)
    request = await run.wait_for_request()

    async def is_waiting() -> bool:
        progress = await run.handle.query("progress")
        return bool(progress["status"] == "waiting_for_user")

    await eventually(is_waiting)
    async with engine.database.transaction() as session:
        await queries.lock(session, run.id)
        row = await session.get_one(type(request), request.id)
        row.answer, row.status = {"decision": "approve", "message": "not woken"}, "answered"
        await session.flush()
        await append_signal(
            session, run.id, SignalKind.ANSWER, {"input_request_id": str(request.id)}
        )
    await run.wait_for_end()
    assert await run.text() == "not woken"


async def test_what_temporal_has_accepted_is_not_sent_again_soon(
    database_url: str, temporal_address: str, tmp_path: Path, scripted_model: ScriptedModelServer
) -> None:
    """No worker runs here, so nothing reads the signals."""
    place = await make_place(database_url, temporal_address, tmp_path)
    async with open_driver(place, scripted_model) as engine:
        run = await engine.start({"text": "x"}, dispatch=False)
        async with engine.database.transaction() as session:
            await session.execute(text("UPDATE signals SET wake_at = now() - interval '1 second'"))
        sent_after = datetime.now(UTC)
        assert await relay_due(engine.database, engine.dispatcher) == 1
        async with engine.transaction() as work:
            row = await queries.lock_existing(work.session, run.id)
            await append_signal(work.session, run.id, SignalKind.RESUME)
            work.wake_workflow(row.id, row.workflow_id)
        async with engine.database.transaction() as reader:
            await reader.execute(text("SELECT id FROM signals FOR UPDATE"))
            marked = signals.mark_woken(engine.database, {run.id: timedelta()})
            await marked  # waits for no reader
        async with engine.database.reading() as session:
            start, resume = await signals.list_unread(session, run.id)
    assert start.wake_at > sent_after + signals.NEXT_WAKE
    assert resume.wake_at > sent_after + signals.FIRST_WAKE


async def test_a_signal_that_is_newer_than_the_wake_is_sent_again_soon(engine: Engine) -> None:
    """Its own wake may not have reached Temporal."""
    run = await engine.start({"text": "x"}, dispatch=False)
    async with engine.transaction() as work:
        await append_signal(work.session, run.id, SignalKind.ANSWER)
        await work.session.execute(
            text("UPDATE signals SET wake_at = now() - interval '2 minutes'")
        )
        # The relay of the worker must not send it before it is read below, also on a slow machine.
        later = timedelta(seconds=15)
        await append_signal(work.session, run.id, SignalKind.RESUME, relay_after=later)
    await signals.mark_woken(engine.database, {run.id: timedelta(minutes=1)})
    async with engine.database.reading() as session:
        unread = {row.kind: row for row in await signals.list_unread(session, run.id)}
    due = datetime.now(UTC) + (signals.FIRST_WAKE + signals.NEXT_WAKE) / 2
    assert unread["resume"].wake_at < due < unread["answer"].wake_at


async def test_a_silent_temporal_delays_a_sweep_only_once(database_url: str) -> None:
    """And not once for each signal."""
    database = Database.connect(database_url)
    async with database.transaction() as session:
        user_id = (await users.find_or_create(session, "alice", "user")).id
    for _ in range(20):
        await store(database, user_id, [{"text": "x"}])
    async with database.transaction() as session:
        await session.execute(text("UPDATE signals SET wake_at = now() - interval '1 second'"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        client = await connect(Settings(temporal_address=address), lazy=True)
        started_at = time.monotonic()
        assert await relay_due(database, Dispatcher(client)) == 20
        assert time.monotonic() - started_at < 10 * RPC_TIMEOUT.total_seconds()
    await database.close()


async def test_signals_of_ended_executions_are_consumed(engine: Engine) -> None:
    run = await engine.run_to_completion({"text": "x"})
    async with engine.database.transaction() as session:
        await append_signal(session, run.id, SignalKind.ANSWER)

    async def is_consumed() -> bool:
        async with engine.database.reading() as session:
            return not await signals.list_unread(session, run.id)

    await eventually(is_consumed)
