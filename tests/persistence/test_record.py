"""The record: one writer at a time, every step whole or not at all."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from domain.errors import (
    AlreadyAnsweredError,
    ErrorCode,
    ExecutionTerminalError,
    FencedOutError,
    NotFoundError,
    WorkspaceElsewhereError,
)
from domain.events import Event
from domain.ids import new_id
from domain.model_calls import Usage
from domain.states import ExecutionStatus
from domain.steps import (
    CallOutcome,
    CallStatus,
    Failure,
    NewArtifact,
    NewChild,
    NewMessage,
    NewRequest,
    RequestKind,
    StatusChange,
    Step,
    ToolCall,
    ToolCallStatus,
)
from domain.tool_calls import ToolEffect
from persistence.db.database import Database
from persistence.executions import admission, input_requests, lifecycle
from persistence.executions.step_log import ExecutionRecord
from persistence.tables.executions import ExecutionRow
from persistence.tables.input_requests import InputRequestRow
from persistence.tables.model_calls import ModelCallRow
from services.executions import finishing
from tests.persistence.opened import HOST, Opened, answer, everything, intent, opened, unchanged


async def test_a_failure_on_record_is_told_to_the_next_attempt(database: Database) -> None:
    execution = await opened(database)
    failure = Failure(ErrorCode.INPUT_EXPIRED, "Nobody answered in time.")
    await (await execution.writer(1)).write(Step(failure=failure))
    assert (await execution.record(1, 2).begin()).failure == failure


def tool_call(**changed: Any) -> ToolCall:
    fields: dict[str, Any] = {
        "id": new_id(),
        "turn": 1,
        "position": 0,
        "tool_use_id": "toolu_1",
        "name": "bash",
        "input": "{}",
        "input_sha256": b"input",
        "effect": ToolEffect.EFFECTFUL,
        "status": ToolCallStatus.READY,
        **changed,
    }
    return ToolCall(**fields)


def request_for(call: ToolCall | None, **changed: Any) -> NewRequest:
    return NewRequest(new_id(), RequestKind.APPROVAL, "Run?", call.id if call else None, **changed)


def everything_in_one_step() -> Step:
    call = tool_call()
    return Step(
        call_intent=intent(),
        messages=[NewMessage(new_id(), 2, "user", "[]")],
        new_tool_calls=[call],
        requests=[request_for(call)],
        children=[NewChild(new_id(), call.id, "part", {"prompt_template": "x"}, None)],
        artifacts=[NewArtifact(new_id(), "artifact", "a", "text/plain", 1, "00", call.id)],
        events=[Event("turn.started"), Event("tool.started")],
        status=StatusChange(ExecutionStatus.WAITING_FOR_USER),
        result={"text": "x"},
        failure=Failure(ErrorCode.TOOL_FAILED, "x"),
    )


# --- one writer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"), [((1, 1), (1, 2)), ((1, 2), (2, 1)), ((1, 9), (3, 1))]
)
async def test_the_newer_writer_fences_out_the_older(
    database: Database, first: tuple[int, int], second: tuple[int, int]
) -> None:
    execution = await opened(database)
    older = await execution.writer(*first)
    newer = await execution.writer(*second)
    async with unchanged(database):
        for step in (
            Step(),
            everything_in_one_step(),
            Step(failure=Failure(ErrorCode.TIMEOUT, "")),
        ):
            with pytest.raises(FencedOutError):
                await older.write(step)
    await newer.write(everything_in_one_step())


@pytest.mark.parametrize("token", [(1, 1), (2, 1), (2, 2)])
async def test_nobody_begins_behind_another(database: Database, token: tuple[int, int]) -> None:
    execution = await opened(database)
    await execution.writer(2, 2)
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await execution.record(*token).begin()


async def test_of_many_that_begin_at_once_one_writes(database: Database) -> None:
    execution = await opened(database)
    records = [execution.record(1, attempt) for attempt in range(1, 9)]
    begun = await asyncio.gather(*(r.begin() for r in records), return_exceptions=True)
    assert not isinstance(begun[-1], BaseException)
    written = await asyncio.gather(
        *(
            r.write(Step(events=[Event("turn.started")]))
            for r, b in zip(records, begun, strict=True)
            if not isinstance(b, BaseException)
        ),
        return_exceptions=True,
    )
    assert [w for w in written if not isinstance(w, FencedOutError)] == [written[-1]]


async def test_another_workflow_is_kept_out(database: Database) -> None:
    execution = await opened(database)
    stranger = replace(execution, workflow_id="scheduled-by-somebody")
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await stranger.record(1).begin()


async def test_no_execution(database: Database) -> None:
    nobody = Opened(database, new_id(), "execution-x")
    with pytest.raises(NotFoundError):
        await nobody.record(1).begin()


async def test_a_terminal_execution_takes_no_writer(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    await finish(execution, 2)
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await writer.write(Step(events=[Event("turn.started")]))
    with pytest.raises(ExecutionTerminalError):
        await execution.record(3).begin()


async def test_a_lost_workflows_successor_goes_on(database: Database) -> None:
    """Its workflow was lost with Temporal's database; a new one starts from the beginning."""
    execution = await opened(database)
    writer = await execution.writer(7)
    await writer.write(answer(intent()))
    again = execution.identity(0, run_id="second")
    assert await admission.create_session(database, execution.id, again)
    with pytest.raises(FencedOutError):
        await writer.write(Step())
    successor = execution.record(1, run_id="second")
    snapshot = await successor.begin()
    assert [message.role for message in snapshot.transcript] == ["user", "assistant"]
    row = await execution.row()
    assert (row.epoch, row.run_epochs) == (1, {"first": 0, "second": 1})


async def test_a_continued_run_stays_in_its_epoch(database: Database) -> None:
    execution = await opened(database)
    older = await execution.writer(3)
    newer = await execution.writer(4, run_id="continued")
    with pytest.raises(FencedOutError):
        await older.write(Step())
    await newer.write(Step(events=[Event("turn.started")]))
    assert (await execution.row()).epoch == 0


async def test_the_run_before_a_reset_is_fenced_out(database: Database) -> None:
    execution = await opened(database)
    old = await execution.writer(5)
    reset: dict[str, Any] = {"run_id": "reset", "is_reset": True, "last_message_seq": 1}
    await execution.writer(1, **reset)
    async with unchanged(database):
        with pytest.raises(FencedOutError):
            await old.write(Step())
        with pytest.raises(FencedOutError):
            await execution.record(6).begin()


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
    execution = await opened(database)
    writer = await execution.writer(1)
    async with unchanged(database):
        with pytest.raises((DBAPIError, ValueError, OverflowError)):
            await writer.write(replace(everything_in_one_step(), **broken))
    # And the writer may go on.
    await writer.write(everything_in_one_step())


async def test_a_whole_step_is_there(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    before = await everything(database)
    receipt = await writer.write(everything_in_one_step())
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


async def test_a_message_is_kept_to_the_byte(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    content = '[ {"z": 1, "a": "\\u0000\\ud800",  "a2": 1.0}]'
    await writer.write(Step(messages=[NewMessage(new_id(), 2, "assistant", content)]))
    snapshot = await execution.record(2).begin()
    assert snapshot.transcript[-1].content == content


async def test_running_time_is_counted_between_writes_only(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    writer._last_write -= 60  # as if a minute had passed
    await writer.write(Step())
    await (await execution.writer(2)).write(Step())
    assert 60_000 <= (await execution.row()).running_ms < 61_000


# --- where it stands --------------------------------------------------------------------------


async def test_an_attempt_finds_what_the_last_one_left(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    call = intent(estimate_usd=Decimal("0.5"))
    await writer.write(Step(call_intent=call))
    snapshot = await execution.record(1, 2).begin()
    assert (snapshot.turn, snapshot.tries, snapshot.failures_in_a_row) == (1, 1, 0)
    assert snapshot.lost_intent_sha256 == b"request"
    assert snapshot.cost_usd == Decimal("0.5")
    assert snapshot.stalled_attempts == 1


async def test_an_attempt_that_only_begins_is_no_progress(database: Database) -> None:
    execution = await opened(database)
    for attempt in range(1, 7):
        writer = await execution.writer(1, attempt)
        await writer.write(Step(call_intent=intent(try_number=attempt)))
    assert (await execution.row()).stalled_attempts == 5
    await writer.write(Step(events=[Event("turn.started")]))
    assert (await execution.row()).stalled_attempts == 5
    await writer.write(Step(messages=[NewMessage(new_id(), 2, "assistant", "[]")]))
    assert (await execution.row()).stalled_attempts == 0


async def test_a_workspace_belongs_to_one_host(database: Database) -> None:
    execution = await opened(database, allowed_tools=["bash"])
    await execution.writer(1)
    elsewhere = ExecutionRecord(database, execution.id, execution.identity(2), host_id=UUID(int=2))
    with pytest.raises(WorkspaceElsewhereError):
        await elsewhere.begin()
    # It was refused as a whole: the workspace's host may still begin there.
    await ExecutionRecord(database, execution.id, execution.identity(2), host_id=HOST).begin()


# --- what a call cost -------------------------------------------------------------------------


async def test_a_late_answers_cost_is_recorded(database: Database) -> None:
    execution = await opened(database)
    older = await execution.writer(1)
    call = intent(estimate_usd=Decimal("0.5"))
    await older.write(Step(call_intent=call))
    await execution.writer(1, 2)
    outcome = CallOutcome(
        call.id, CallStatus.SUCCEEDED, usage=Usage(100, 10, 7, 5), cost_usd=Decimal("0.01")
    )
    with pytest.raises(FencedOutError):
        await older.write(Step(call_outcome=outcome))
    for _ in range(2):
        await older.settle(outcome)
        row = await execution.row()
        assert row.cost_usd == Decimal("0.01")
        assert (row.input_tokens, row.output_tokens) == (100, 10)
        assert (row.cache_read_tokens, row.cache_write_tokens) == (7, 5)
    async with database.reading() as session:
        recorded = await session.get_one(ModelCallRow, call.id)
    assert (recorded.status, recorded.usage_estimated) == ("lost", False)


async def test_a_known_cost_is_not_settled_again(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    call = intent(estimate_usd=Decimal("0.5"))
    await writer.write(Step(call_intent=call))
    await writer.write(answer(call, cost_usd=Decimal("0.02")))
    async with unchanged(database):
        await writer.settle(CallOutcome(call.id, CallStatus.SUCCEEDED, cost_usd=Decimal(9)))


# --- a person's answer and an expiry ----------------------------------------------------------


async def test_an_answer_wins_over_an_expiry_that_comes_after(database: Database) -> None:
    execution = await opened(database)
    writer = await execution.writer(1)
    request = request_for(None, on_expiry="fail")
    await writer.write(Step(requests=[request]))
    async with database.transaction() as session:
        row = await session.get_one(InputRequestRow, request.id)
        user_id = (await session.get_one(ExecutionRow, execution.id)).user_id
        await input_requests.answer(session, row, {"decision": "approve"}, by=user_id)
    async with unchanged(database):
        with pytest.raises(AlreadyAnsweredError):
            await writer.write(Step(expired_requests=[request.id], events=[Event("input.expired")]))


async def finish(execution: Opened, segment: int, **changed: Any) -> lifecycle.Ended:
    fields: dict[str, Any] = {"status": ExecutionStatus.COMPLETED, "error_code": None, **changed}
    async with execution.database.transaction() as session:
        identity = execution.identity(segment, fields.pop("attempt", 1))
        return await finishing.finish(session, execution.id, identity, **fields)
