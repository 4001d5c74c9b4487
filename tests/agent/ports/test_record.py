"""The record: one writer, each step whole or not at all, and what the next attempt reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import (
    AlreadyAnsweredError,
    ErrorCode,
    ExecutionTerminalError,
    FencedOutError,
)
from domain.executions.events import Event
from domain.executions.states import ExecutionStatus
from domain.executions.steps import (
    CallOutcome,
    CallStatus,
    Failure,
    NewMessage,
    Step,
    ToolCallStatus,
)
from domain.ids import new_id
from domain.model.calls import Usage
from domain.text import clean
from domain.tools.calls import ProcessIdentity
from domain.web.connections import NO_CONNECTIONS, Connection
from tests.agent.ports.steps import make_answer_step, request_for, tool_call, whole_step
from tests.agent.ports.stored import RecordedExecution
from tests.persistence.opened import intent

USAGE = Usage(100, 10, 7, 5, 3)


@asynccontextmanager
async def unchanged(stored: RecordedExecution) -> AsyncIterator[None]:
    """Nothing that is stored may change in the block."""
    before = await stored.everything()
    yield
    assert await stored.everything() == before


# --- one writer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"), [((1, 1), (1, 2)), ((1, 2), (2, 1)), ((1, 9), (3, 1))]
)
async def test_the_newer_writer_fences_out_the_older(
    stored: RecordedExecution, first: tuple[int, int], second: tuple[int, int]
) -> None:
    older, newer = stored.record(*first), stored.record(*second)
    await older.begin()
    await newer.begin()
    async with unchanged(stored):
        for step in (Step(), whole_step(), Step(failure=Failure(ErrorCode.TIMEOUT, ""))):
            with pytest.raises(FencedOutError):
                await older.write(step)
    await newer.write(whole_step())


@pytest.mark.parametrize("token", [(1, 1), (2, 1), (2, 2)])
async def test_an_older_attempt_cannot_begin(
    stored: RecordedExecution, token: tuple[int, int]
) -> None:
    await stored.record(2, 2).begin()
    async with unchanged(stored):
        with pytest.raises(FencedOutError):
            await stored.record(*token).begin()


async def test_of_many_that_begin_at_once_one_writes(stored: RecordedExecution) -> None:
    records = [stored.record(1, attempt) for attempt in range(1, 9)]
    begun = await asyncio.gather(*(r.begin() for r in records), return_exceptions=True)
    assert not isinstance(begun[-1], BaseException)
    step = Step(events=[Event("turn.started")])
    writers = [r for r, b in zip(records, begun, strict=True) if not isinstance(b, BaseException)]
    written = await asyncio.gather(*(w.write(step) for w in writers), return_exceptions=True)
    assert not isinstance(written[-1], BaseException)
    assert all(isinstance(w, FencedOutError) for w in written[:-1])


async def test_a_terminal_execution_takes_no_writer(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    assert await stored.finish(2)
    async with unchanged(stored):
        with pytest.raises(FencedOutError):
            await writer.write(Step(events=[Event("turn.started")]))
        with pytest.raises(ExecutionTerminalError):
            await stored.record(3).begin()


# --- whole or not at all ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        {"messages": [NewMessage(new_id(), 1, "user", "[]")]},
        {"requests": [request_for(tool_call())]},
    ],
    ids=lambda broken: next(iter(broken)),
)
async def test_a_step_that_fails_leaves_nothing(
    stored: RecordedExecution, broken: dict[str, Any]
) -> None:
    writer = stored.record(1)
    await writer.begin()
    async with unchanged(stored):
        with pytest.raises(Exception):  # noqa: B017, PT011 - which one is the store's own
            await writer.write(replace(whole_step(), **broken))
    await writer.write(whole_step())


async def test_a_whole_step_is_stored(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    receipt = await writer.write(whole_step())
    row = await stored.row()
    assert (row["status"], row["error_code"], row["error_message"]) == (
        "waiting_for_user",
        "tool_failed",
        "y",
    )
    assert (row["result_data"], row["summary"]) == ({"text": "x"}, "x")
    assert (row["total_messages"], row["total_tool_calls"], row["total_turns"]) == (2, 1, 0)
    assert await stored.events() == [
        (1, "execution.created"),
        (2, "execution.started"),
        (3, "message.appended"),
        (4, "turn.started"),
        (5, "tool.started"),
    ]
    assert (receipt.event_seq, receipt.unread) == (5, 0)
    assert await writer.descendants() == 1


async def test_a_turn_is_counted_with_its_usage_and_cost(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    call = intent()
    await writer.write(Step(call_intent=call))
    await writer.write(make_answer_step(call, cost_usd=Decimal("0.25"), usage=USAGE))
    row = await stored.row()
    assert (row["total_turns"], row["total_messages"]) == (1, 2)
    assert row["cost_usd"] == Decimal("0.25")
    assert (row["input_tokens"], row["output_tokens"]) == (100, 10)
    assert (row["cache_read_tokens"], row["cache_write_tokens"]) == (7, 8)


async def test_a_message_is_kept_to_the_byte(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    content = '[ {"z": 1, "a": "\\u0000\\ud800",  "a2": 1.0}]'
    await writer.write(Step(messages=[NewMessage(new_id(), 2, "assistant", content)]))
    snapshot = await stored.record(2).begin()
    assert [message.seq for message in snapshot.transcript] == [1, 2]
    assert snapshot.transcript[-1].content == content


async def test_text_that_postgres_refuses_is_replaced(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    call = tool_call(status=ToolCallStatus.SUCCEEDED, output="a\0b\ud800")
    failure = Failure(ErrorCode.MODEL_ERROR, "c\0d")
    await writer.write(Step(new_tool_calls=[call], result={"text": "e\0"}, failure=failure))
    assert await stored.outputs() == [clean("a\0b\ud800")]
    row = await stored.row()
    assert (row["summary"], row["error_message"]) == ("e\ufffd", "c\ufffdd")


# --- what the next attempt reads --------------------------------------------------------------


async def test_a_first_attempt_reads_the_prompt(stored: RecordedExecution) -> None:
    snapshot = await stored.record(1).begin()
    assert snapshot.execution_id == stored.id
    assert [(message.seq, message.role) for message in snapshot.transcript] == [(1, "user")]
    assert snapshot.status == ExecutionStatus.RUNNING
    assert (snapshot.turn, snapshot.tries, snapshot.stalled_attempts) == (0, 0, 0)
    assert (snapshot.has_unread, snapshot.failure) == (False, None)


async def test_a_failure_is_read_by_the_next_attempt(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    failure = Failure(ErrorCode.INPUT_EXPIRED, "No answer came in time.")
    await writer.write(Step(failure=failure))
    assert (await stored.record(1, 2).begin()).failure == failure


async def test_a_lost_call_is_charged_at_its_estimate(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    await writer.write(Step(call_intent=intent(estimate_usd=Decimal("0.5"))))
    snapshot = await stored.record(1, 2).begin()
    assert (snapshot.turn, snapshot.tries, snapshot.failures_in_a_row) == (1, 1, 0)
    assert snapshot.lost_intent_sha256 == b"request"
    assert snapshot.cost_usd == Decimal("0.5")
    assert snapshot.stalled_attempts == 1
    assert (await stored.row())["cost_usd"] == Decimal("0.5")


async def test_failed_tries_are_counted_until_one_succeeds(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    for number in (1, 2):
        failed = intent(try_number=number)
        await writer.write(Step(call_intent=failed))
        await writer.write(Step(call_outcome=CallOutcome(failed.id, CallStatus.FAILED)))
    snapshot = await stored.record(2).begin()
    assert (snapshot.turn, snapshot.tries, snapshot.failures_in_a_row) == (1, 2, 2)
    writer = stored.record(3)
    await writer.begin()
    last = intent(try_number=3)
    await writer.write(Step(call_intent=last))
    await writer.write(make_answer_step(last))
    snapshot = await stored.record(4).begin()
    assert (snapshot.turn, snapshot.tries, snapshot.failures_in_a_row) == (1, 0, 0)


async def test_an_attempt_that_only_begins_a_call_makes_no_progress(
    stored: RecordedExecution,
) -> None:
    for attempt in range(1, 7):
        writer = stored.record(1, attempt)
        await writer.begin()
        await writer.write(Step(call_intent=intent(try_number=attempt)))
    assert (await stored.row())["stalled_attempts"] == 5
    await writer.write(Step(events=[Event("turn.started")]))
    assert (await stored.row())["stalled_attempts"] == 5
    await writer.write(Step(messages=[NewMessage(new_id(), 2, "assistant", "[]")]))
    assert (await stored.row())["stalled_attempts"] == 0


async def test_tool_calls_are_open_until_their_results_are_in_the_transcript(
    stored: RecordedExecution,
) -> None:
    writer = stored.record(1)
    await writer.begin()
    call = intent()
    await writer.write(Step(call_intent=call))
    second, first = tool_call(position=1), tool_call()
    await writer.write(make_answer_step(call) + Step(new_tool_calls=[second, first]))
    started = replace(
        first, status=ToolCallStatus.STARTED, process=ProcessIdentity("host", 17, 4711)
    )
    await writer.write(Step(tool_calls=[started]))
    snapshot = await stored.record(1, 2).begin()
    assert list(snapshot.tool_calls) == [started, second]
    started = replace(
        started,
        status=ToolCallStatus.WAITING_FOR_TIME,
        wakes_at=datetime(2026, 11, 28, 12, tzinfo=UTC),
        remote_state={"task": "t-1", "responses": {"a": {"action": "decline"}}},
        connections=NO_CONNECTIONS.with_connections(
            [Connection("a.example", 443, "refused", "It is not listed.")]
        ),
    )
    writer = stored.record(1, 3)
    await writer.begin()
    assert (await stored.row())["stalled_attempts"] == 2
    await writer.write(Step(tool_calls=[started]))
    assert (await stored.row())["stalled_attempts"] == 0  # the task of a server is kept
    snapshot = await stored.record(1, 4).begin()
    assert list(snapshot.tool_calls) == [started, second]
    writer = stored.record(2)
    await writer.begin()
    results = NewMessage(new_id(), 3, "user", "[]")
    settled = [replace(c, status=ToolCallStatus.SUCCEEDED, output="") for c in (started, second)]
    await writer.write(Step(tool_calls=settled, messages=[results]))
    assert list((await stored.record(3).begin()).tool_calls) == []


async def test_an_end_settles_what_is_open(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    call = tool_call()
    step = Step(new_tool_calls=[call], requests=[request_for(call)])
    await writer.write(step + Step(call_intent=intent(estimate_usd=Decimal("0.5"))))
    assert await stored.finish(2)
    assert (await stored.row())["cost_usd"] == Decimal("0.5")
    assert await stored.outputs() == ["The execution ended before this call did."]
    with pytest.raises(AlreadyAnsweredError):
        await stored.answer(step.requests[0].id, {})


# --- what a call cost -------------------------------------------------------------------------


async def test_a_late_answers_cost_replaces_the_estimate(stored: RecordedExecution) -> None:
    older = stored.record(1)
    await older.begin()
    call = intent(estimate_usd=Decimal("0.5"))
    await older.write(Step(call_intent=call))
    await stored.record(1, 2).begin()
    outcome = CallOutcome(
        call.id, CallStatus.SUCCEEDED, usage=Usage(100, 10, 7, 5), cost_usd=Decimal("0.01")
    )
    with pytest.raises(FencedOutError):
        await older.write(Step(call_outcome=outcome))
    for _ in range(2):
        await older.settle_cost(outcome)
        row = await stored.row()
        assert row["cost_usd"] == Decimal("0.01")
        assert (row["input_tokens"], row["output_tokens"]) == (100, 10)
        assert (row["cache_read_tokens"], row["cache_write_tokens"]) == (7, 5)


async def test_a_known_cost_is_not_replaced(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    call = intent(estimate_usd=Decimal("0.5"))
    await writer.write(Step(call_intent=call))
    await writer.write(make_answer_step(call, cost_usd=Decimal("0.02")))
    async with unchanged(stored):
        await writer.settle_cost(CallOutcome(call.id, CallStatus.SUCCEEDED, cost_usd=Decimal(9)))
