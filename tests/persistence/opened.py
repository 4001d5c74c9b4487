"""An execution that has its session and its prompt, and writers that take it in turn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from activities.render_prompt import render_prompt
from domain.executions.events import Event
from domain.executions.steps import CallIntent, CallOutcome, CallStatus, NewMessage, Step
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import admission
from persistence.executions.fencing import RunIdentity
from persistence.executions.step_log import ExecutionRecord
from persistence.identity import users
from persistence.tables.columns import Row
from persistence.tables.executions import ExecutionRow
from tests.engine.storing import store

HOST = UUID(int=1)


@dataclass(frozen=True, slots=True)
class Opened:
    """One execution."""

    database: Database
    id: UUID
    workflow_id: str

    def identity(
        self, segment: int, attempt: int = 1, *, run_id: str = "first", **changed: Any
    ) -> RunIdentity:
        """Who asks to write."""
        fields: dict[str, Any] = {"last_message_seq": 0, "is_reset": False, **changed}
        return RunIdentity(self.workflow_id, run_id, segment, attempt, **fields)

    def record(self, segment: int, attempt: int = 1, **changed: Any) -> ExecutionRecord:
        """A writer that has not begun."""
        return ExecutionRecord(
            self.database, self.id, self.identity(segment, attempt, **changed), host_id=HOST
        )

    async def writer(self, segment: int, attempt: int = 1, **changed: Any) -> ExecutionRecord:
        """A writer that has begun."""
        record = self.record(segment, attempt, **changed)
        await record.begin()
        return record

    async def row(self) -> ExecutionRow:
        async with self.database.reading() as session:
            return await session.get_one(ExecutionRow, self.id)


async def open_execution(database: Database, **fields: Any) -> Opened:
    """A new execution, ready for its first segment."""
    async with database.transaction() as session:
        user_id = (await users.find_or_create(session, "alice", "user")).id
    row = await store(database, user_id, [{"text": "x"}], **fields)
    execution = Opened(database, row.id, row.workflow_id)
    assert not (await admission.create_session(database, row.id, execution.identity(0))).is_terminal
    await render_prompt(database, row.id, default_model="claude-opus-5-5")
    return execution


@asynccontextmanager
async def unchanged(database: Database) -> AsyncIterator[None]:
    """Nothing in any table may change in the block."""
    before = await everything(database)
    yield
    assert await everything(database) == before


async def everything(database: Database) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    found = {}
    async with database.reading() as session:
        for table in Row.metadata.sorted_tables:
            rows = await session.execute(text(f"SELECT t::text FROM {table.name} t"))  # noqa: S608 - our own table's name
            found[table.name] = sorted(row[0] for row in rows)
    return found


def intent(turn: int = 1, **changed: Any) -> CallIntent:
    """A model call about to be made."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "turn": turn,
        "try_number": 1,
        "model": "claude-opus-5-5",
        "max_tokens": 100,
        "last_message_seq": 1,
        "request_sha256": b"request",
        "estimate_usd": None,
        **changed,
    }
    return CallIntent(**fields)


def answer(call: CallIntent, seq: int = 2, **changed: Any) -> Step:
    """The answer to a call, as one step."""
    message = NewMessage(new_id(), seq, "assistant", '[{"type":"text","text":"hello"}]')
    outcome = CallOutcome(call.id, CallStatus.SUCCEEDED, **changed)
    return Step(call_outcome=outcome, messages=[message], events=[Event("turn.completed")])
