"""The record in Postgres: what goes beyond the suite of `tests/agent/ports`."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from domain.errors import (
    FencedOutError,
    NotFoundError,
    WorkspaceElsewhereError,
)
from domain.executions.events import Event
from domain.executions.steps import (
    NewChild,
    NewMessage,
    Step,
)
from domain.files.artifacts import NewArtifact
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import admission
from persistence.executions.step_log import ExecutionRecord
from tests.agent.ports.steps import request_for, tool_call, whole_step
from tests.persistence.opened import (
    HOST,
    Opened,
    answer,
    everything,
    intent,
    open_execution,
    unchanged,
)

# --- one writer -------------------------------------------------------------------------------


async def test_another_workflow_is_kept_out(database: Database) -> None:
    execution = await open_execution(database)
    foreign = replace(execution, workflow_id="scheduled-elsewhere")
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await foreign.record(1).begin()


async def test_no_execution(database: Database) -> None:
    missing = Opened(database, new_id(), "execution-x")
    with pytest.raises(NotFoundError):
        await missing.record(1).begin()


async def test_a_lost_workflows_successor_continues(database: Database) -> None:
    """Its workflow was lost with Temporal's database; a new one starts from the beginning."""
    execution = await open_execution(database)
    writer = await execution.writer(7)
    await writer.write(answer(intent()))
    again = execution.identity(0, run_id="second")
    assert not (await admission.create_session(database, execution.id, again)).is_terminal
    with pytest.raises(FencedOutError):
        await writer.write(Step())
    successor = execution.record(1, run_id="second")
    snapshot = await successor.begin()
    assert [message.role for message in snapshot.transcript] == ["user", "assistant"]
    row = await execution.row()
    assert (row.epoch, row.run_epochs) == (1, {"first": 0, "second": 1})


async def test_a_continued_run_stays_in_its_epoch(database: Database) -> None:
    execution = await open_execution(database)
    older = await execution.writer(3)
    newer = await execution.writer(4, run_id="continued")
    with pytest.raises(FencedOutError):
        await older.write(Step())
    await newer.write(Step(events=[Event("turn.started")]))
    assert (await execution.row()).epoch == 0


async def test_the_run_before_a_reset_is_fenced_out(database: Database) -> None:
    execution = await open_execution(database)
    old = await execution.writer(5)
    reset: dict[str, Any] = {"run_id": "reset", "is_reset": True, "last_message_seq": 1}
    await execution.writer(1, **reset)
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await old.write(Step())
        with pytest.raises(FencedOutError):
            await execution.record(6).begin()


async def test_an_older_run_that_began_before_a_reset_stays_out(database: Database) -> None:
    """It continued as new and wrote nothing until the reset, so that it is not known."""
    execution = await open_execution(database)
    await execution.writer(5)
    reset: dict[str, Any] = {"run_id": "reset", "is_reset": True, "last_message_seq": 1}
    newest = await execution.writer(6, **reset)
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await execution.record(6, 2, run_id="late", continued_run_id="first").begin()
    await newest.write(Step())


# --- whole or not at all ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"messages": [NewMessage(new_id(), 1, "user", "[]")]},
        {"children": [NewChild(new_id(), new_id(), "x", {}, Decimal("1e30"))]},
        {"requests": [request_for(tool_call())]},
        {"artifacts": [NewArtifact(new_id(), "artifact", "a", "t", 2**70, "0", new_id())]},
    ],
    ids=lambda broken: next(iter(broken)),
)
async def test_a_step_that_fails_leaves_nothing(database: Database, broken: dict[str, Any]) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    async with unchanged(database):
        with pytest.raises((DBAPIError, ValueError, OverflowError)):
            await writer.write(replace(whole_step(), **broken))
    # The writer can continue.
    await writer.write(whole_step())


async def test_a_whole_step_is_there(database: Database) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    before = await everything(database)
    receipt = await writer.write(whole_step())
    after = await everything(database)
    grown = {name for name in after if len(after[name]) > len(before[name])}
    assert grown == {
        "execution_events",
        "messages",
        "model_calls",
        "tool_calls",
        "input_requests",
        "executions",
        "artifacts",
    }
    row = await execution.row()
    assert (row.status, row.error_code) == ("waiting_for_user", "tool_failed")
    assert receipt.event_seq == row.event_seq == 5


async def test_running_time_is_counted_between_writes_only(database: Database) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    writer._last_write -= 60  # as if a minute had passed
    await writer.write(Step())
    await (await execution.writer(2)).write(Step())
    assert 60_000 <= (await execution.row()).running_ms < 61_000


# --- workspaces -------------------------------------------------------------------------------


async def test_a_workspace_belongs_to_one_host(database: Database) -> None:
    execution = await open_execution(database, allowed_tools=["bash"])
    await execution.writer(1)
    elsewhere = ExecutionRecord(database, execution.id, execution.identity(2), host_id=UUID(int=2))
    with pytest.raises(WorkspaceElsewhereError):
        await elsewhere.begin()
    # It was refused as a whole: the workspace's host may still begin there.
    await ExecutionRecord(database, execution.id, execution.identity(2), host_id=HOST).begin()
