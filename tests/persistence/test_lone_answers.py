"""An answer in one statement: as one in a transaction, after what it waited for."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from domain.executions.events import Event
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import events, input_requests, lone_answers, queries
from persistence.ledger import audit
from persistence.ledger.audit import Actor
from persistence.tables.sessions import InputRequestRow
from tests.persistence.opened import Opened, open_execution, unchanged
from tests.persistence.test_locks import waiting_transaction

GIVEN = {"decision": "approve", "message": "yes \x00"}
AFTER = {"decision": "approve"}
REQUEST = {"request_id": "req-1", "address": "192.0.2.1"}

CHANGES = {
    "an answer": "UPDATE input_requests SET status = 'answered' WHERE id = :request",
    "another assignee": "UPDATE input_requests SET assignee = 'bob' WHERE id = :request",
    "the end of the execution": "UPDATE executions SET completed_at = now() WHERE id = :id",
}

WRITTEN = {
    "input_requests": "id = :request",
    "signals": "execution_id = :id",
    "execution_events": "execution_id = :id AND type = 'input.answered'",
    "audit_log": "entity_id = :request",
}
"""The rows of an answer."""


async def test_an_answer_is_as_one_in_a_transaction(database: Database) -> None:
    one, other = await open_execution(database), await open_execution(database)
    first, second = await open_request(one), await open_request(other)
    alone = await answer_alone(one, first)
    assert alone is not None
    assert (alone[0].status, alone[1]) == ("answered", one.workflow_id)
    async with database.transaction() as session:
        await queries.lock_existing(session, other.id)
        row = await input_requests.lock(session, second.id)
        await input_requests.answer(session, row, GIVEN, by=row.user_id)
        entity = ("input_request", row.id)
        actor = Actor(row.user_id, **REQUEST)
        await audit.record(session, actor, "input_request.answer", entity, after=AFTER)
    assert await read_written(one, first) == await read_written(other, second)


@pytest.mark.parametrize("changed", CHANGES)
async def test_nothing_is_written_after_a_change_that_it_waited_for(
    database: Database, changed: str
) -> None:
    execution = await open_execution(database)
    request = await open_request(execution)
    async with database.transaction() as session:
        await queries.lock_existing(session, execution.id)
        answering = answer_alone(execution, request)
        async with waiting_transaction(database, answering) as waiting:
            statement = text(CHANGES[changed])
            ids = {"id": execution.id, "request": request.id}
            needed = {name: ids[name] for name in statement.compile().params}
            await session.execute(statement, needed)
    assert await waiting is None
    async with unchanged(database):
        assert await answer_alone(execution, request) is None


async def test_a_request_that_expires_takes_no_answer_after_its_due_time(
    database: Database,
) -> None:
    execution = await open_execution(database)
    due_at = datetime.now(UTC) - timedelta(seconds=1)
    expires = await open_request(execution, due_at=due_at, on_expiry="fail")
    assert await answer_alone(execution, expires) is None
    waits = await open_request(execution, due_at=due_at, on_expiry="wait")
    assert await answer_alone(execution, waits) is not None


async def test_its_event_follows_those_that_it_waited_for(database: Database) -> None:
    execution = await open_execution(database)
    request = await open_request(execution)
    async with database.transaction() as session:
        last = await events.append(session, execution.id, Event("input.mentioned"))
        async with waiting_transaction(database, answer_alone(execution, request)) as waiting:
            pass
    assert await waiting is not None
    row = await execution.row()
    found = await events.list_after(database, execution.id, last, limit=10)
    assert [(event.seq, event.type) for event in found] == [(row.event_seq, "input.answered")]
    assert row.event_seq == last + 1


async def open_request(execution: Opened, **fields: Any) -> InputRequestRow:
    """Store an open approval."""
    values = {"due_at": None, "on_expiry": "wait", **fields}
    async with execution.database.transaction() as session:
        user_id = (await queries.lock_existing(session, execution.id)).user_id
        row = InputRequestRow(
            id=new_id(),
            execution_id=execution.id,
            user_id=user_id,
            kind="approval",
            title="?",
            assignee="alice",
            status="open",
            **values,
        )
        await input_requests.open_request(session, row)
    found = await input_requests.find(execution.database.raw, row.id)
    assert found is not None
    return found


async def answer_alone(
    execution: Opened, request: InputRequestRow
) -> tuple[InputRequestRow, str] | None:
    by = request.user_id
    return await lone_answers.answer(
        execution.database.raw, request, GIVEN, by=by, actor=Actor(by, **REQUEST), after=AFTER
    )


async def read_written(
    execution: Opened, request: InputRequestRow
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The rows of an answer, without ids and times."""
    ids: dict[str, UUID] = {"id": execution.id, "request": request.id}
    found = {}
    async with execution.database.reading() as session:
        for table, condition in WRITTEN.items():
            statement = text(f"SELECT * FROM {table} WHERE {condition}")  # noqa: S608 - our own names
            needed = {name: ids[name] for name in statement.compile().params}
            rows = (await session.execute(statement, needed)).mappings().all()
            assert rows, table
            found[table] = [
                {n: _comparable(v, ids) for n, v in row.items() if n != "id"} for row in rows
            ]
    return found


def _comparable(value: Any, ids: Mapping[str, UUID]) -> Any:
    if isinstance(value, datetime):
        return "a time"
    written = str(value)
    for name, one in ids.items():
        written = written.replace(str(one), name)
    return written
