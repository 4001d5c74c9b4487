"""Runs, segments, resets, cancels and ends in any order: the record keeps its promises."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from domain.errors import ErrorCode, ExecutionTerminalError, FencedOutError
from domain.executions.events import Event
from domain.executions.states import TERMINAL, ExecutionStatus, may_move
from domain.executions.steps import NewMessage, StatusChange, Step
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import admission, cascade, lifecycle, queries
from persistence.executions.fencing import RunIdentity
from persistence.executions.step_log import ExecutionRecord
from persistence.sessions import fork_points, sessions
from persistence.tables.executions import ExecutionEventRow
from persistence.tables.sessions import MessageRow, SessionRow
from services.executions import finishing
from tests.persistence.opened import HOST, Opened, open_execution, unchanged

T = TypeVar("T")
MOST_FORKS = 5
"""All of them are read after each rule."""

LIVE = sorted(set(ExecutionStatus) - TERMINAL - {ExecutionStatus.PENDING, ExecutionStatus.BLOCKED})


class ExecutionStates(RuleBasedStateMachine):
    """One execution in a real database, moved by every run that it ever had."""

    database_url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        # A loop of its own that nobody else sees: this is no coroutine.
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.database = Database.connect(self.database_url, pool_size=2)
        self.writers: list[ExecutionRecord] = []
        self.run_id, self.epoch, self.segment = "first", 0, 0
        self.status, self.is_reset = ExecutionStatus.RUNNING, False
        self.messages = 1
        self.is_cancelled = False
        self.is_pause_requested = False
        self.forks: dict[UUID, list[UUID]] = {}

    def do(self, awaitable: Awaitable[T]) -> T:
        async def done() -> T:
            return await awaitable

        return self.runner.run(done())

    def teardown(self) -> None:
        self.do(self.database.close())
        self.runner.close()

    def identity(self) -> RunIdentity:
        return self.execution.identity(
            self.segment, run_id=self.run_id, is_reset=self.is_reset, last_message_seq=1
        )

    @property
    def is_over(self) -> bool:
        return self.status.is_terminal

    @initialize()
    def open(self) -> None:
        self.execution: Opened = self.do(open_execution(self.database))

    @rule()
    def begin_a_segment(self) -> None:
        self.segment += 1
        record = ExecutionRecord(self.database, self.execution.id, self.identity(), host_id=HOST)
        try:
            snapshot = self.do(record.begin())
        except ExecutionTerminalError:
            assert self.is_over
            return
        assert not self.is_over
        assert snapshot.status == self.status
        assert len(snapshot.transcript) == self.messages
        assert snapshot.is_pause_requested == self.is_pause_requested
        self.writers.append(record)

    @precondition(lambda self: self.writers)
    @rule(status=st.sampled_from(LIVE))
    def the_newest_writes(self, status: ExecutionStatus) -> None:
        message = NewMessage(new_id(), self.messages + 1, "assistant", "[]")
        step = Step(messages=[message], events=[Event("message.appended")])
        if may_move(self.status, status):
            step += Step(status=StatusChange(status), events=[Event("execution.status_changed")])
        try:
            self.do(self.writers[-1].write(step))
        except FencedOutError:
            assert self.is_over or self.has_moved_on
            return
        assert not self.is_over
        assert not self.has_moved_on
        self.messages += 1
        self.status = step.status.status if step.status else self.status

    @property
    def has_moved_on(self) -> bool:
        """Whether a new run or a later segment came after the newest writer."""
        token = self.writers[-1]._token
        return (token["epoch"], token["segment"]) != (self.epoch, self.segment)

    @precondition(lambda self: len(self.writers) > 1)
    @rule(data=st.data())
    def an_older_one_writes_nothing(self, data: Any) -> None:
        older = data.draw(st.sampled_from(self.writers[:-1]))

        async def tries() -> None:
            async with unchanged(self.database):
                try:
                    await older.write(Step(events=[Event("turn.started")]))
                except FencedOutError:
                    return
                raise AssertionError("an older writer wrote")

        self.do(tries())

    @rule()
    def a_user_cancels(self) -> None:
        async def cancel() -> None:
            async with self.database.transaction() as session:
                await cascade.cancel_tree(session, self.execution.id, "enough")

        self.do(cancel())
        self.is_cancelled = self.is_cancelled or not self.is_over

    @rule(is_paused=st.booleans())
    def a_user_pauses_or_resumes(self, *, is_paused: bool) -> None:
        async def request() -> bool:
            async with self.database.transaction() as session:
                row = await queries.lock_existing(session, self.execution.id)
                return await lifecycle.request_pause(session, row, is_paused=is_paused)

        try:
            is_new = self.do(request())
        except ExecutionTerminalError:
            assert self.is_over
            return
        assert not self.is_over
        assert is_new == (self.is_pause_requested != is_paused)
        self.is_pause_requested = is_paused

    @precondition(lambda self: len(self.forks) < MOST_FORKS)
    @rule(data=st.data())
    def a_user_forks(self, data: Any) -> None:
        """It, or a fork of it, anywhere up to now."""
        upto = data.draw(st.integers(min_value=0, max_value=self.messages))
        origin = data.draw(st.sampled_from([None, *self.forks]))

        async def fork() -> tuple[UUID, list[UUID]]:
            async with self.database.transaction() as session:
                source = await queries.lock_existing(session, self.execution.id)
                conversation = await session.get_one(SessionRow, origin or source.session_id)
                point = fork_points.ForkPoint(upto)
                made = await fork_points.create_session(session, source, conversation, point)
            before = await self.conversation(conversation.id)
            return made.id, [message.id for message in before if message.seq <= upto]

        session_id, shared = self.do(fork())
        self.forks[session_id] = shared

    async def conversation(self, session_id: UUID) -> Sequence[MessageRow]:
        async with self.database.reading() as session:
            return await sessions.list_latest_messages(session, session_id, limit=1000)

    @rule(status=st.sampled_from(sorted(TERMINAL)))
    def it_ends(self, status: ExecutionStatus) -> None:
        self.segment += 1
        code = ErrorCode.TOOL_FAILED if status is ExecutionStatus.FAILED else None

        async def finish() -> lifecycle.Ended:
            async with self.database.transaction() as session:
                return await finishing.finish(
                    session, self.execution.id, self.identity(), status=status, error_code=code
                )

        expected = self.status
        if not self.is_over:
            expected = ExecutionStatus.CANCELLED if self.is_cancelled else status
            if expected is ExecutionStatus.COMPLETED and not may_move(self.status, expected):
                return  # the loop never completes one that waits
        ended = self.do(finish())
        assert (ended.status, ended.has_unread_messages) == (expected, False)
        self.status, self.is_pause_requested = expected, False

    @rule()
    def an_operator_resets(self) -> None:
        self.begin_run(is_reset=True)
        self.status, self.messages, self.is_cancelled = ExecutionStatus.RUNNING, 1, False

    @precondition(lambda self: not self.is_over)
    @rule()
    def its_workflow_is_lost_and_started_again(self) -> None:
        self.begin_run(is_reset=False)

    def begin_run(self, *, is_reset: bool) -> None:
        self.run_id, self.segment, self.is_reset = str(new_id()), 0, is_reset
        self.epoch += 1
        identity = self.identity()
        created = admission.create_session(self.database, self.execution.id, identity)
        assert not self.do(created).is_terminal

    @invariant()
    def the_events_have_no_gaps_and_end_with_the_end(self) -> None:
        row, events = self.do(self.read())
        assert (row.status, row.epoch) == (self.status, self.epoch)
        assert [event.seq for event in events] == list(range(1, row.event_seq + 1))
        is_end = events[-1].type in {f"execution.{status}" for status in TERMINAL}
        assert is_end == self.is_over
        assert (row.completed_at is not None) == self.is_over
        assert (row.pause_requested_at is not None) == self.is_pause_requested

    @invariant()
    def forks_share_what_there_was(self) -> None:
        for session_id, shared in self.forks.items():
            assert [m.id for m in self.do(self.conversation(session_id))] == shared

    async def read(self) -> tuple[Any, list[ExecutionEventRow]]:
        row = await self.execution.row()
        async with self.database.reading() as session:
            events = await session.scalars(
                select(ExecutionEventRow)
                .where(ExecutionEventRow.execution_id == self.execution.id)
                .order_by(ExecutionEventRow.seq)
            )
            return row, list(events)


def in_database(url: str) -> type[ExecutionStates]:
    """The machine on a database."""
    return type("StatesInDatabase", (ExecutionStates,), {"database_url": url})


EXAMPLES = settings(max_examples=15, stateful_step_count=20, deadline=None)
MANY_EXAMPLES = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_the_record_keeps_its_promises(database_url: str) -> None:
    run_state_machine_as_test(in_database(database_url), settings=EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_record_keeps_its_promises_for_long(database_url: str) -> None:
    run_state_machine_as_test(in_database(database_url), settings=MANY_EXAMPLES)
