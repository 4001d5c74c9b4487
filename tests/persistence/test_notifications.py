"""Notifications: which rows the trigger writes, and which deliveries are due."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from domain.executions.events import Event
from domain.ids import new_id
from domain.people.notifications import ASKING_EVENTS, EVENTS, TERMINAL_EVENTS
from persistence.db.database import Database
from persistence.executions import events
from persistence.identity import users
from persistence.notifications import deliveries
from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import NotificationRow

DEFAULT_EVENTS = (*TERMINAL_EVENTS, *ASKING_EVENTS)
"""Of a target that names none; the trigger knows them."""

OTHERS = ("execution.created", "execution.status_changed", "message.appended", "tool.completed")
URL = "https://hooks.example/in"


async def execution(database: Database, config: Any, **columns: Any) -> UUID:
    """An execution with this configuration; its id."""
    new = new_id()
    async with database.transaction() as session:
        user_id = (await users.find_or_create(session, "alice", "user")).id
        session.add(
            ExecutionRow(
                id=new,
                **{
                    "user_id": user_id,
                    "title": "task",
                    "trigger_type": "manual",
                    "status": "running",
                    "priority": 5,
                    "workflow_id": f"execution-{new}",
                    "notification_config": config,
                    **columns,
                },
            )
        )
    return new


async def append_events(
    database: Database, execution_id: UUID, *types: str
) -> Sequence[NotificationRow]:
    """Append these events; returns the notifications of the execution."""
    async with database.transaction() as session:
        await events.append(session, execution_id, *(Event(kind) for kind in types))
    async with database.reading() as session:
        rows = await session.scalars(
            select(NotificationRow)
            .where(NotificationRow.execution_id == execution_id)
            .order_by(NotificationRow.event_seq, NotificationRow.kind, NotificationRow.position)
        )
        return rows.all()


async def test_default_events_without_a_list(database: Database) -> None:
    rows = await append_events(
        database, await execution(database, {"email": ["a@b.c"]}), *EVENTS, *OTHERS
    )
    assert {row.type for row in rows} == set(DEFAULT_EVENTS)


async def test_each_event_can_be_listed_and_no_other(database: Database) -> None:
    config = {"webhooks": [{"url": URL, "events": [*EVENTS, *OTHERS]}]}
    rows = await append_events(database, await execution(database, config), *EVENTS, *OTHERS)
    assert [row.type for row in rows] == list(EVENTS)
    assert [row.event_seq for row in rows] == list(range(1, len(EVENTS) + 1))


async def test_every_target_gets_a_row_of_its_own(database: Database) -> None:
    config = {
        "webhooks": [
            {"url": URL, "secret_ref": "secret://key", "events": None},
            {"url": f"{URL}/2", "events": ["report.ready"]},
        ],
        "email": ["a@example.com", {"to": "b@example.com", "events": ["execution.failed"]}],
        "slack": [{"secret_ref": "slack"}],
    }
    new = await execution(database, config)
    rows = await append_events(
        database, new, "execution.completed", "execution.failed", "report.ready"
    )
    assert [(row.type.split(".")[1], row.kind, row.position, row.target) for row in rows] == [
        ("completed", "email", 1, {"to": "a@example.com"}),
        ("completed", "slack", 1, {"secret_ref": "slack"}),
        ("completed", "webhook", 1, {"url": URL, "secret_ref": "secret://key"}),
        ("failed", "email", 1, {"to": "a@example.com"}),
        ("failed", "email", 2, {"to": "b@example.com"}),
        ("failed", "slack", 1, {"secret_ref": "slack"}),
        ("failed", "webhook", 1, {"url": URL, "secret_ref": "secret://key"}),
        ("ready", "webhook", 2, {"url": f"{URL}/2"}),
    ]
    assert all(row.id == row.message_id and row.status == "pending" for row in rows)
    assert all(row.id.version == 7 for row in rows)


@pytest.mark.parametrize(
    "config",
    [None, {}, {"webhooks": []}, {"webhooks": None}, {"x": 1}, {"email": 7}, {"email": [7, None]}],
)
async def test_no_target_gets_a_row(database: Database, config: Any) -> None:
    assert await append_events(database, await execution(database, config), *EVENTS) == []


async def test_a_subtask_notifies_only_of_its_questions(database: Database) -> None:
    config = {"webhooks": [{"url": URL, "events": list(EVENTS)}]}
    parent = await execution(database, config)
    child = await execution(database, config, parent_execution_id=parent)
    assert {row.type for row in await append_events(database, child, *EVENTS)} == {
        "input.requested",
        "input.answered",
        "input.expired",
        "input.reminded",
        "input.escalated",
        "input.mentioned",
    }


async def test_the_owner_of_a_public_task_is_not_notified(database: Database) -> None:
    async with database.transaction() as session:
        owner = (await users.find_or_create(session, "bob", "user")).id
        task = TaskRow(
            user_id=owner,
            name="shared",
            version=1,
            is_public=True,
            is_active=True,
            is_scheduled=False,
            schedule_timezone="UTC",
            schedule_enabled=False,
            schedule_overlap_policy="skip",
        )
        session.add(task)
        await session.flush()
    config = {"email": ["bob@example.com"]}
    foreign = await execution(database, config, task_id=task.id)
    assert await append_events(database, foreign, *EVENTS) == []
    own = await execution(database, config, task_id=task.id, user_id=owner)
    assert len(await append_events(database, own, *EVENTS)) == len(DEFAULT_EVENTS)


async def test_due_deliveries_are_shared_and_come_back(database: Database) -> None:
    new = await execution(database, {"email": ["a@b.c", "d@e.f"]})
    await append_events(database, new, "execution.completed")
    async with database.transaction() as first, database.transaction() as second:
        own = await deliveries.take_due(first, limit=1)
        theirs = await deliveries.take_due(second, limit=5)
        assert len(own) == len(theirs) == 1
        assert {one.id for one in own}.isdisjoint(one.id for one in theirs)
    async with database.transaction() as session:
        assert await deliveries.take_due(session, limit=5) == []
