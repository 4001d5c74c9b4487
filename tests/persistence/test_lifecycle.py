"""The end of an execution: written once, over everything that happens at the same time."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from domain.errors import ConflictError, ErrorCode, FencedOutError
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from domain.executions.steps import Failure, StatusChange, Step
from persistence.db.database import Database
from persistence.executions import admission, cascade, lifecycle, queries, signals
from persistence.executions.signals import append_signal
from persistence.identity import users
from persistence.tables.executions import SignalRow
from persistence.tables.ledger import AuditRow
from services.executions import finishing
from tests.engine.storing import store
from tests.persistence.opened import Opened, intent, open_execution, unchanged
from tests.waiting import eventually

DONE: dict[str, Any] = {"status": ExecutionStatus.COMPLETED, "error_code": None}


async def finish(execution: Opened, segment: int = 2, **changed: Any) -> lifecycle.Ended:
    identity = execution.identity(segment, changed.pop("attempt", 1))
    async with execution.database.transaction() as session:
        return await finishing.finish(session, execution.id, identity, **{**DONE, **changed})


async def test_the_end_is_written_once(database: Database) -> None:
    execution = await open_execution(database)
    await execution.writer(1)
    first = await finish(execution)
    async with unchanged(database):
        # A workflow task that was lost repeats its local activity, another attempt of it too.
        assert await finish(execution) == first
        assert await finish(execution, attempt=2) == first
        assert await finish(execution, 9, status=ExecutionStatus.CANCELLED) == first
    async with database.reading() as session:
        entries = await session.scalars(select(AuditRow).where(AuditRow.entity_id == execution.id))
        actions = sorted(entry.action for entry in entries)
    assert actions == ["execution.completed", "task.execute"]


async def test_a_reset_of_an_execution_that_has_not_started_can_be_cancelled(
    database: Database,
) -> None:
    async with database.transaction() as session:
        user_id = (await users.find_or_create(session, "alice", "user")).id
    row = await store(database, user_id, [{"text": "x"}])
    identity = Opened(database, row.id, row.workflow_id).identity(1, run_id="reset", is_reset=True)
    async with database.transaction() as session:
        ended = await finishing.finish(
            session, row.id, identity, status=ExecutionStatus.CANCELLED, error_code=None
        )
    assert ended.status == ExecutionStatus.CANCELLED


async def test_a_failure_keeps_its_sentence(database: Database) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    await writer.write(Step(failure=Failure(ErrorCode.MODEL_ERROR, "It was the model.")))
    await finish(execution, status=ExecutionStatus.FAILED, error_code=ErrorCode.MODEL_ERROR)
    row = await execution.row()
    assert (row.error_code, row.error_message) == ("model_error", "It was the model.")


async def test_a_failure_without_a_sentence_gets_one(database: Database) -> None:
    execution = await open_execution(database)
    await finish(execution, status=ExecutionStatus.FAILED)
    row = await execution.row()
    assert (row.error_code, bool(row.error_message)) == ("worker_error", True)


async def test_a_call_without_an_answer_is_charged(database: Database) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    await writer.write(Step(call_intent=intent(estimate_usd=Decimal("0.25"))))
    ended = await finish(execution, status=ExecutionStatus.CANCELLED)
    assert ended.cost_usd == Decimal("0.25")


async def test_a_message_comes_before_a_completion(database: Database) -> None:
    execution = await open_execution(database)
    await execution.writer(1)
    async with database.transaction() as session:
        await append_signal(session, execution.id, SignalKind.MESSAGE, {"content": "wait"})
    for _ in range(2):
        assert (await finish(execution)).has_unread_messages
    assert (await execution.row()).status == ExecutionStatus.RUNNING
    # The next segment may begin, and the end may be written by the attempt after it.
    await execution.writer(3)
    with pytest.raises(FencedOutError):
        await finish(execution, 2)


async def test_a_failure_does_not_wait_for_a_message(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        await append_signal(session, execution.id, SignalKind.MESSAGE, {"content": "wait"})
    ended = await finish(execution, status=ExecutionStatus.FAILED, error_code=ErrorCode.TIMEOUT)
    assert (ended.has_unread_messages, ended.status) == (False, ExecutionStatus.FAILED)
    async with database.reading() as session:
        assert not await signals.list_unread(session, execution.id)


async def test_a_message_that_comes_while_the_end_is_written_is_not_lost(
    database: Database,
) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        await queries.lock(session, execution.id)
        ending = asyncio.create_task(finish(execution))
        await wait_until_blocked(database)
        await append_signal(session, execution.id, SignalKind.MESSAGE, {"content": "wait"})
    # Refused as a whole, and tried again by the workflow; or answered at once.
    try:
        assert (await ending).has_unread_messages
    except ConflictError:
        assert (await finish(execution)).has_unread_messages
    assert (await execution.row()).status == ExecutionStatus.RUNNING


async def test_a_cancel_that_comes_while_the_end_is_written_wins(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        await queries.lock(session, execution.id)
        ending = asyncio.create_task(finish(execution))
        await wait_until_blocked(database)
        await cascade.cancel_tree(session, execution.id, "enough")
    assert (await ending).status == ExecutionStatus.CANCELLED
    assert (await execution.row()).cancel_reason == "enough"


async def test_a_cancel_after_the_end_changes_nothing(database: Database) -> None:
    execution = await open_execution(database)
    await finish(execution)
    async with unchanged(database), database.transaction() as session:
        assert not await cascade.cancel_tree(session, execution.id, "late")


async def test_the_next_of_a_session_is_promoted_in_order(database: Database) -> None:
    first = await open_execution(database)
    row = await first.row()
    second, third = [
        await store(database, row.user_id, [{"text": "x"}], session_id=row.session_id, tags=["a"])
        for _ in range(2)
    ]
    assert (second.status, third.status) == (ExecutionStatus.BLOCKED, ExecutionStatus.BLOCKED)
    await finish(first)
    promoted, waiting = [Opened(database, r.id, r.workflow_id) for r in (second, third)]
    assert (await promoted.row()).status == ExecutionStatus.PENDING
    assert (await waiting.row()).status == ExecutionStatus.BLOCKED
    async with database.reading() as session:
        [start] = await signals.list_unread(session, promoted.id)
    assert (start.kind, start.payload) == ("start", {})
    assert not (
        await admission.create_session(database, promoted.id, promoted.identity(0))
    ).is_terminal
    assert (await promoted.row()).session_id == row.session_id
    await finish(promoted)
    assert (await waiting.row()).status == ExecutionStatus.PENDING


async def test_one_that_queues_up_while_its_session_becomes_free_is_started(
    database: Database,
) -> None:
    first = await open_execution(database)
    row = await first.row()
    for _ in range(5):
        ending, stored = await asyncio.gather(
            finish(first),
            store(database, row.user_id, [{"text": "x"}], session_id=row.session_id),
        )
        assert not ending.has_unread_messages
        first = Opened(database, stored.id, stored.workflow_id)
        assert (await first.row()).status == ExecutionStatus.PENDING
        assert not (
            await admission.create_session(database, first.id, first.identity(0))
        ).is_terminal


async def test_one_that_is_cancelled_in_that_moment_stays_cancelled(database: Database) -> None:
    first = await open_execution(database)
    row = await first.row()
    second, third = [
        await store(database, row.user_id, [{"text": "x"}], session_id=row.session_id)
        for _ in range(2)
    ]
    async with database.transaction() as session:
        await cascade.cancel_tree(session, second.id, "not needed")
        ending = asyncio.create_task(finish(first))
        await wait_until_blocked(database)
    await ending
    cancelled, promoted = [
        await Opened(database, r.id, r.workflow_id).row() for r in (second, third)
    ]
    assert (cancelled.status, promoted.status) == ("cancelled", "pending")


async def test_a_finished_execution_is_opened_by_nobody(database: Database) -> None:
    execution = await open_execution(database)
    await finish(execution)
    async with unchanged(database):
        # Temporal forgets ids after their retention; then a start may reach a closed execution.
        again = execution.identity(0, run_id="after retention")
        assert (await admission.create_session(database, execution.id, again)).is_terminal


async def test_opening_twice_opens_once(database: Database) -> None:
    execution = await open_execution(database)
    async with unchanged(database):
        assert not (
            await admission.create_session(database, execution.id, execution.identity(0))
        ).is_terminal


async def test_a_parent_gets_a_signal(database: Database) -> None:
    parent = await open_execution(database)
    child = await open_execution(database, columns={"parent_execution_id": parent.id, "depth": 1})
    ended = await finish(child)
    assert ended.parent_workflow_id == parent.workflow_id
    async with database.reading() as session:
        [signal] = await signals.list_unread(session, parent.id)
    assert signal.kind == "subtask_finished"
    assert UUID(signal.payload["execution_id"]) == child.id
    async with unchanged(database):
        assert await finish(child) == ended


async def wait_until_blocked(database: Database) -> None:
    """Until another transaction waits for a lock."""

    async def waits() -> bool:
        async with database.reading() as session:
            found = await session.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                    "AND datname = current_database()"
                )
            )
            return bool(found)

    await eventually(waits, what="a lock that is waited for")


async def test_ended_executions_leave_nothing_unread(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        for kind in (SignalKind.CANCEL, SignalKind.PAUSE, SignalKind.RESUME, SignalKind.ANSWER):
            await append_signal(session, execution.id, kind)
    await finish(execution, status=ExecutionStatus.FAILED)
    async with database.reading() as session:
        rows = await session.scalars(select(SignalRow).where(SignalRow.consumed_at.is_(None)))
        assert not rows.all()


async def test_a_change_that_the_table_does_not_allow_is_refused(database: Database) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    await writer.write(Step(status=StatusChange(ExecutionStatus.WAITING_FOR_USER)))
    async with unchanged(database):
        with pytest.raises(ConflictError, match="waiting_for_user can't become completed"):
            await finish(execution)
        with pytest.raises(FencedOutError):
            await writer.write(Step(status=StatusChange(ExecutionStatus.COMPLETED)))
    assert (await finish(execution, status=ExecutionStatus.CANCELLED)).status == "cancelled"
