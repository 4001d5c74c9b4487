"""Limits of an execution: turns, time, cost, segments."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.executions.states import ExecutionStatus
from tests.agent.in_memory.driver import Runner, use

LISTING = {"tool_use": use("list_files")}
LISTS: dict[str, Any] = {"allowed_tools": ["list_files"]}
NEVER_ASK: dict[str, Any] = {"human_input_policy": {"mode": "fail"}}
SLOW = {"text": "x", "gate": "never opened"}


async def test_time_is_up_during_a_model_call(runner: Runner) -> None:
    run = await runner.run_to_failure(
        SLOW, code=ErrorCode.TIMEOUT, sdk_options={"timeout_seconds": 0.3}
    )
    [call] = await run.model_calls()
    assert (call.status, call.usage_estimated) == ("cancelled", True)
    assert (await run.row()).cost_usd == call.estimate_usd
    assert runner.model.cancelled == runner.model.requests


async def test_time_is_up_during_a_tool(runner: Runner) -> None:
    run = await runner.run_to_failure(
        {"tool_use": use("bash", command="sleep 600")},
        code=ErrorCode.TIMEOUT,
        allowed_tools=["bash"],
        sdk_options={"timeout_seconds": 1},
    )
    [call] = await run.tool_calls()
    assert call.status == "cancelled"
    assert "Ended before it was done" in (call.output or "")


async def test_waiting_for_a_person_takes_no_running_time(runner: Runner) -> None:
    run = await runner.start(
        {"tool_use": use("ask_user", question="?")},
        {"text": "done"},
        allowed_tools=["ask_user"],
        sdk_options={"timeout_seconds": 600},
    )
    request = await run.wait_for_request()
    runner.executions.by_id[run.id].last_write -= 3600  # an hour passes
    await run.answer(request, message="continue")
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    assert row.running_ms < 600_000


async def test_running_time_adds_up_over_segments(runner: Runner) -> None:
    turn = {**LISTING, "delay_ms": 300, "repeat": 20}
    run = await runner.run_to_failure(
        turn,
        code=ErrorCode.TIMEOUT,
        **LISTS,
        sdk_options={"timeout_seconds": 0.8, "segment_turns": 1},
    )
    assert (await run.row()).total_turns <= 2


@pytest.mark.parametrize("seconds", [0.05, 0.0])
async def test_a_deadline_is_wall_time(runner: Runner, seconds: float) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    run = await runner.run_to_failure(
        SLOW, code=ErrorCode.DEADLINE_PASSED, columns={"deadline_at": deadline}
    )
    row = await run.row()
    assert row.completed_at is not None
    assert row.completed_at - deadline < timedelta(seconds=60)


async def test_a_deadline_cuts_a_providers_delay(runner: Runner) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=100)
    run = await runner.start(
        {"error": {"status": 529, "type": "overloaded_error", "retry_after": 200}},
        columns={"deadline_at": deadline},
    )
    row = await run.wait_until(lambda row: row.wakes_at)
    assert row.wakes_at == deadline
    row.deadline_at = datetime.now(UTC)
    run.skip_time()
    await run.wait_for_end()
    assert (row.status, row.error_code) == (ExecutionStatus.FAILED, ErrorCode.DEADLINE_PASSED)
    assert len(await run.model_calls()) == 1


async def test_spend_never_passes_the_budget(runner: Runner) -> None:
    budget = Decimal("0.40")
    run = await runner.run_to_failure(
        {**LISTING, "usage": {"input_tokens": 10_000, "output_tokens": 1000}, "repeat": 50},
        code=ErrorCode.BUDGET_EXHAUSTED,
        **LISTS,
        **NEVER_ASK,
        sdk_options={"max_tokens": 2000, "max_budget_usd": 0.40},
    )
    row = await run.row()
    assert Decimal("0.25") < row.cost_usd <= budget
    assert "budget.exceeded" in await run.event_types()
    assert f"${row.cost_usd} of" in (row.error_message or "")


async def test_an_executions_own_budget_goes_before_the_tasks(runner: Runner) -> None:
    run = await runner.run_to_failure(
        {"text": "x"},
        code=ErrorCode.BUDGET_EXHAUSTED,
        **NEVER_ASK,
        sdk_options={"max_budget_usd": 100},
        columns={"budget_usd": Decimal("0.000001")},
    )
    assert not await run.model_calls()


async def test_a_budget_without_a_price_makes_no_call(runner: Runner) -> None:
    options = {"model": "unknown-model", "max_budget_usd": 5}
    run = await runner.run_to_failure(
        {"text": "x"}, code=ErrorCode.BUDGET_EXHAUSTED, sdk_options=options
    )
    assert not await run.model_calls()


async def test_a_model_without_a_price_runs_without_a_budget(runner: Runner) -> None:
    run = await runner.run_to_completion({"text": "x"}, sdk_options={"model": "unknown-model"})
    assert (await run.row()).cost_usd == 0
    assert (await run.row()).output_tokens > 0
