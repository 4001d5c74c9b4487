"""Signals, input requests and their answers, in memory and in Postgres."""

from dataclasses import replace
from typing import Any

import pytest

from domain.errors import (
    AlreadyAnsweredError,
)
from domain.executions.events import Event
from domain.executions.signals import SignalKind
from domain.executions.states import ExecutionStatus
from domain.executions.steps import Step, ToolCallStatus
from tests.agent.ports.steps import request_for, tool_call
from tests.agent.ports.stored import RecordedExecution
from tests.agent.ports.test_record import unchanged

# --- signals ----------------------------------------------------------------------------------


async def test_signals_are_read_in_order_until_a_step_consumes_them(
    stored: RecordedExecution,
) -> None:
    writer = stored.record(1)
    await writer.begin()
    for word in ("one", "two", "three"):
        await stored.signal(SignalKind.MESSAGE, {"content": word})
    signals = (await writer.poll_signals()).signals
    assert [(s.kind, s.payload["content"]) for s in signals] == [
        ("message", "one"),
        ("message", "two"),
        ("message", "three"),
    ]
    assert (await writer.poll_signals()).signals == signals
    receipt = await writer.write(Step(consumed=[s.id for s in signals[:2]]))
    assert receipt.unread == 1
    assert list((await writer.poll_signals()).signals) == [signals[2]]
    assert (await stored.record(2).begin()).has_unread


async def test_a_message_must_be_answered_before_the_end(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    await stored.signal(SignalKind.MESSAGE, {"content": "And then?"})
    async with unchanged(stored):
        assert not await stored.finish(2)
    await writer.write(Step(consumed=[s.id for s in (await writer.poll_signals()).signals]))
    assert await stored.finish(2)
    assert (await stored.row())["status"] == ExecutionStatus.COMPLETED
    assert (await stored.events())[-1][1] == "execution.completed"


async def test_an_answer_is_read_with_its_request(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    call = tool_call()
    request = request_for(call)
    await writer.write(Step(new_tool_calls=[call], requests=[request]))
    [opened] = (await stored.record(2).begin()).open_requests
    assert (opened.id, opened.tool_call_id, opened.status) == (request.id, call.id, "open")
    await stored.answer(request.id, {"decision": "deny", "message": "No."})
    writer = stored.record(3)
    snapshot = await writer.begin()
    assert (list(snapshot.open_requests), snapshot.has_unread) == ([], True)
    [answer] = (await writer.poll_signals()).answered
    assert (answer.id, answer.status) == (request.id, "answered")
    assert answer.answer == {"decision": "deny", "message": "No."}


async def test_a_call_is_found_by_its_input_and_an_approval_by_its_call(
    stored: RecordedExecution,
) -> None:
    writer = stored.record(1)
    await writer.begin()
    first = tool_call(input='{"a": 1}', reason="first")
    second = tool_call(turn=2, input='{"a": 2}', reason="second")
    request = request_for(first)
    await writer.write(Step(new_tool_calls=[first], requests=[request]))
    await writer.write(Step(tool_calls=[replace(first, approved_input='{"a": 2}')]))
    assert not await writer.has_succeeded("bash")
    assert await writer.find_approval_age(first.id) is None
    await writer.write(Step(new_tool_calls=[second]))
    await writer.write(Step(tool_calls=[replace(second, status=ToolCallStatus.SUCCEEDED)]))
    assert await writer.has_succeeded("bash")
    found = [
        await writer.find_reason("bash", text, since_turn=turn)
        for text, turn in (('{"a": 2}', 0), ('{"a": 2}', 3), ('{"a": 1}', 0))
    ]
    assert found == ["second", None, None]
    await stored.answer(request.id, {"decision": "approve"})
    age = await writer.find_approval_age(first.id)
    assert age is not None
    assert not age.is_stale
    assert await writer.find_approval_age(second.id) is None


async def test_a_pause_is_read_until_it_is_taken_back(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    for is_paused in (True, False):
        await stored.request_pause(is_paused=is_paused)
        assert (await writer.poll_signals()).is_pause_requested is is_paused
    await stored.request_pause(is_paused=True)
    assert (await stored.record(2).begin()).is_pause_requested


@pytest.mark.parametrize("closing", ["expired_requests", "cancelled_requests"])
async def test_an_answer_wins_over_an_expiry_that_comes_after(
    stored: RecordedExecution, closing: str
) -> None:
    writer = stored.record(1)
    await writer.begin()
    request = request_for(None, on_expiry="fail")
    await writer.write(Step(requests=[request]))
    await stored.answer(request.id, {})
    closed: dict[str, Any] = {closing: [request.id]}
    step = Step(events=[Event("input.expired")], **closed)
    async with unchanged(stored):
        with pytest.raises(AlreadyAnsweredError):
            await writer.write(step)


async def test_a_request_that_needs_no_answer_is_cancelled(stored: RecordedExecution) -> None:
    writer = stored.record(1)
    await writer.begin()
    kept, cancelled = request_for(None), request_for(None)
    await writer.write(Step(requests=[kept, cancelled]))
    await writer.write(Step(cancelled_requests=[cancelled.id]))
    [still_open] = (await stored.record(2).begin()).open_requests
    assert still_open.id == kept.id
