"""Failures of the provider: a retry, a timer, a request to a person, or the end."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent import call_policy
from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from tests.agent.in_memory.driver import InMemoryRun, Runner, use

OK = {"text": "after all"}
QUOTA = {
    "status": 400,
    "type": "invalid_request_error",
    "message": "Your credit balance is too low",
}


def error(status: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"status": status, "type": kind, **fields}


OVERLOADED = error(529, "overloaded_error", retry_after_ms=1)


async def statuses(run: InMemoryRun) -> list[str]:
    return [call.status for call in await run.model_calls()]


@pytest.mark.parametrize(
    "fault",
    [
        {"error": {**OVERLOADED, "times": 2}},
        {"error": {**error(429, "rate_limit_error", retry_after_ms=1), "times": 2}},
        {"error": {**error(500, "api_error", retry_after_ms=1), "times": 2}},
    ],
)
async def test_it_is_tried_again(runner: Runner, fault: dict[str, Any]) -> None:
    run = await runner.run_to_completion({**OK, **fault})
    assert await run.text() == "after all"
    assert await statuses(run) == ["failed", "failed", "succeeded"]
    calls = await run.model_calls()
    assert [(c.turn, c.try_number) for c in calls] == [(1, 1), (1, 2), (1, 3)]
    assert len({call.request_sha256 for call in calls}) == 1
    assert (await run.row()).total_turns == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"cut": {"after_bytes": 300, "times": 1}},
        {"cut": {"after_events": 0, "times": 1}},
        {"error": {**error(200, "overloaded_error"), "after_events": 3, "times": 1}},
    ],
)
async def test_an_answer_that_breaks_off_is_asked_for_again(
    runner: Runner, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_policy, "FIRST_DELAY_SECONDS", 0.001)
    run = await runner.run_to_completion({**OK, **fault})
    assert await statuses(run) == ["failed", "succeeded"]
    assert len(await run.messages()) == 2


async def test_a_retry_is_the_same_request_to_the_byte(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": use("list_files")},
        {**OK, "error": {**OVERLOADED, "times": 2}},
        allowed_tools=["list_files"],
    )
    bodies = runner.model.requests
    assert len(bodies) == 4
    assert len(set(bodies[1:])) == 1
    assert await run.text() == "after all"


async def test_a_short_delay_is_held(runner: Runner) -> None:
    failing = error(429, "rate_limit_error", retry_after_ms=30)
    run = await runner.start({**OK, "error": {**failing, "times": 1}})
    row = await run.wait_for_end()
    assert row.wakes_at is None
    first, second = await run.model_calls()
    assert first.completed_at is not None
    waited = second.started_at - first.completed_at
    assert waited >= timedelta(milliseconds=30)
    assert "execution.status_changed" not in await run.event_types()


async def test_a_long_delay_becomes_a_timer(runner: Runner) -> None:
    failing = error(429, "rate_limit_error", retry_after=6)
    run = await runner.start({**OK, "error": {**failing, "times": 1}})
    row = await run.wait_until(lambda row: row.wakes_at)
    assert (row.status, row.status_reason) == (ExecutionStatus.RUNNING, "rate_limited")
    assert row.wakes_at is not None
    assert row.wakes_at - datetime.now(UTC) > timedelta(seconds=5)
    run.skip_time()
    row = await run.wait_for_end()
    assert (row.status_reason, row.wakes_at) == (None, None)
    assert await statuses(run) == ["failed", "succeeded"]


async def test_a_timer_ends_with_a_cancel(runner: Runner) -> None:
    run = await runner.start({"error": error(429, "rate_limit_error", retry_after=250)})
    await run.wait_until(lambda row: row.wakes_at)
    await run.cancel()
    assert (await run.wait_for_end()).status == ExecutionStatus.CANCELLED


async def test_eight_failures_in_a_row_are_the_end(runner: Runner) -> None:
    run = await runner.run_to_failure({"error": OVERLOADED}, code=ErrorCode.MODEL_ERROR)
    assert await statuses(run) == ["failed"] * 8
    assert "8 calls failed in a row" in ((await run.row()).error_message or "")


async def test_an_outcome_ends_the_row_of_failures(runner: Runner) -> None:
    failing = {"error": {**OVERLOADED, "times": 5}}
    run = await runner.run_to_completion(
        {"tool_use": use("list_files"), **failing},
        {**OK, **failing},
        allowed_tools=["list_files"],
        sdk_options={"segment_turns": 1},
    )
    assert len(await run.model_calls()) == 12


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (error(401, "authentication_error"), ErrorCode.MODEL_ERROR),
        (error(403, "permission_error"), ErrorCode.MODEL_ERROR),
        (error(400, "invalid_request_error"), ErrorCode.MODEL_REQUEST_INVALID),
        (
            error(400, "invalid_request_error", message="prompt is too long: 2 > 1"),
            ErrorCode.CONTEXT_EXCEEDED,
        ),
        (error(413, "request_too_large"), ErrorCode.CONTEXT_EXCEEDED),
        (error(404, "not_found_error"), ErrorCode.MODEL_REQUEST_INVALID),
    ],
)
async def test_errors_that_no_retry_fixes(
    runner: Runner, fault: dict[str, Any], code: ErrorCode
) -> None:
    run = await runner.run_to_failure({"error": fault}, code=code)
    [call] = await run.model_calls()
    assert (call.status, call.http_status) == ("failed", fault["status"])
    assert (await run.row()).cost_usd == 0


async def test_a_spend_limit_asks_a_person(runner: Runner) -> None:
    run = await runner.start({**OK, "error": {**QUOTA, "times": 1}})
    request = await run.wait_for_request()
    assert (request.kind, request.tool_call_id) == ("budget", None)
    assert "credit balance is too low" in (request.body or "")
    await run.answer(request, decision="approve")
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert await statuses(run) == ["failed", "succeeded"]


async def test_a_person_may_end_it_at_a_spend_limit(runner: Runner) -> None:
    run = await runner.start({"error": QUOTA})
    await run.answer(await run.wait_for_request(), decision="deny")
    row = await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.MODEL_ERROR)


@pytest.mark.parametrize("mode", ["deny", "fail"])
async def test_a_spend_limit_fails_if_no_person_answers(runner: Runner, mode: str) -> None:
    run = await runner.run_to_failure(
        {"error": QUOTA}, code=ErrorCode.MODEL_ERROR, human_input_policy={"mode": mode}
    )
    assert not await run.requests()


async def test_a_spend_limit_in_several_executions_opens_one_request_each(runner: Runner) -> None:
    runs = [await runner.start({"error": QUOTA}) for _ in range(3)]
    for run in runs:
        await run.wait_for_request()
        assert len(await run.requests()) == 1
        await run.cancel()
    rows = await asyncio.gather(*(run.wait_for_end() for run in runs))
    assert {row.status for row in rows} == {ExecutionStatus.CANCELLED}


async def test_every_try_has_its_events(runner: Runner) -> None:
    run = await runner.run_to_completion({**OK, "error": {**OVERLOADED, "times": 2}})
    turns = [(e.type, e.data) for e in await run.events() if e.type.startswith("turn.")]
    assert [kind for kind, _ in turns] == ["turn.started", "turn.completed"] * 3
    errors = [data.get("error") for kind, data in turns if kind == "turn.completed"]
    assert errors == ["overloaded", "overloaded", None]
    assert all(a["try"] < b["try"] for a, b in itertools.pairwise(d for _, d in turns[::2]))
