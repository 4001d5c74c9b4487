"""The relay: starts what the gateway could not, rings for what nobody came for."""

import socket
import time

from sqlalchemy import text

from activities.relay import Relay
from domain.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import queries, signals
from persistence.executions.signals import SignalKind, append_signal
from persistence.identity import users
from runtime.dispatch import RPC_TIMEOUT, Dispatcher
from runtime.settings import Settings
from runtime.temporal import connect
from tests.engine.driver import Engine, use
from tests.engine.storing import store
from tests.waiting import eventually

ASKING = {"tool_use": use("ask_user", question="?")}
TOOLS = ["ask_user"]


async def test_what_was_stored_and_not_started_is_started(engine: Engine) -> None:
    """The gateway committed it while Temporal was away."""
    run = await engine.start({"text": "here"}, dispatch=False)
    row = await run.ended()
    assert row.status == ExecutionStatus.COMPLETED
    description = await run.handle.describe()
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert attributes["PerdureTags"] == ["tests"]
    assert row.started_at is not None
    assert (row.started_at - row.created_at).total_seconds() >= 1


async def test_tags_that_temporal_can_t_hold_keep_nothing_from_starting(engine: Engine) -> None:
    tags = [f"{'é' * 45} {number}" for number in range(50)]
    run = await engine.completed({"text": "x"}, tags=tags)
    shown = (await run.handle.describe()).search_attributes["PerdureTags"]
    assert list(shown) == tags[: len(shown)] != []
    assert (await run.row()).tags == tags


async def test_what_was_said_and_not_rung_for_is_heard(engine: Engine) -> None:
    """The answer was committed, and whoever wrote it died before the signal."""
    run = await engine.start(ASKING, {"text": "{last_tool_result}"}, allowed_tools=TOOLS)
    request = await run.open_request()

    async def rests() -> bool:
        progress = await run.handle.query("progress")
        return bool(progress["status"] == "waiting_for_user")

    await eventually(rests)
    async with engine.database.transaction() as session:
        await queries.lock(session, run.id)
        row = await session.get_one(type(request), request.id)
        row.answer, row.status = {"decision": "approve", "message": "unrung"}, "answered"
        await session.flush()
        await append_signal(
            session, run.id, SignalKind.ANSWER, {"input_request_id": str(request.id)}
        )
    await run.ended()
    assert await run.text() == "unrung"


async def test_a_temporal_that_says_nothing_is_waited_for_once(database_url: str) -> None:
    """Not once for each of those that are due."""
    database = Database.connect(database_url)
    async with database.transaction() as session:
        user_id = (await users.see(session, "alice", "user")).id
    for _ in range(20):
        await store(database, user_id, [{"text": "x"}])
    async with database.transaction() as session:
        await session.execute(text("UPDATE signals SET wake_at = now() - interval '1 second'"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        client = await connect(Settings(temporal_address=address), lazy=True)
        began = time.monotonic()
        assert await Relay(database, Dispatcher(client)).look() == 20
        assert time.monotonic() - began < 10 * RPC_TIMEOUT.total_seconds()
    await database.close()


async def test_rows_of_what_has_ended_are_put_away(engine: Engine) -> None:
    run = await engine.completed({"text": "x"})
    async with engine.database.transaction() as session:
        await append_signal(session, run.id, SignalKind.ANSWER)

    async def put_away() -> bool:
        async with engine.database.reading() as session:
            return not await signals.unread(session, run.id)

    await eventually(put_away)
