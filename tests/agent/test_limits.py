"""What bounds an execution: turns, time, money, segments."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.errors import ErrorCode
from domain.states import ExecutionStatus
from tests.engine.driver import Engine, use
from tests.waiting import eventually

LISTING = {"tool_use": use("list_files")}
LISTS: dict[str, Any] = {"allowed_tools": ["list_files"]}
SLOW = {"text": "x", "delay_ms": 600_000}


async def test_time_is_up_during_a_model_call(engine: Engine) -> None:
    run = await engine.failed(
        SLOW, code=ErrorCode.TIMEOUT, title="time is up", sdk_options={"timeout_seconds": 3}
    )
    [call] = await run.model_calls()
    assert (call.status, call.usage_estimated) == ("cancelled", True)
    assert (await run.row()).cost_usd == call.estimate_usd
    logged = await engine.asked("time is up")

    async def disconnected() -> bool:
        return logged.outcome == "disconnected"

    await eventually(disconnected)


async def test_time_is_up_during_a_tool(engine: Engine) -> None:
    run = await engine.failed(
        {"tool_use": use("bash", command="sleep 600")},
        code=ErrorCode.TIMEOUT,
        allowed_tools=["bash"],
        sdk_options={"timeout_seconds": 4},
    )
    [call] = await run.tool_calls()
    assert call.status == "cancelled"
    assert "Ended before it was done" in (call.output or "")


async def test_waiting_for_a_person_takes_no_running_time(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("ask_user", question="?")},
        {"text": "done"},
        allowed_tools=["ask_user"],
        sdk_options={"timeout_seconds": 5},
    )
    request = await run.open_request()
    waited_since = (await run.row()).started_at
    assert waited_since is not None
    await run.when(lambda _: datetime.now(UTC) > waited_since + timedelta(seconds=5.5))
    await run.answer(request, message="go on")
    row = await run.ended()
    assert row.status == ExecutionStatus.COMPLETED
    assert row.running_ms < 5000


async def test_running_time_adds_up_over_segments(engine: Engine) -> None:
    turn = {**LISTING, "delay_ms": 1500, "repeat": 20}
    run = await engine.failed(
        turn,
        code=ErrorCode.TIMEOUT,
        **LISTS,
        sdk_options={"timeout_seconds": 4, "segment_turns": 1},
    )
    assert 1 <= (await run.row()).total_turns <= 2


@pytest.mark.parametrize("seconds", [0.5, 0.0])
async def test_a_deadline_is_wall_time(engine: Engine, seconds: float) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    run = await engine.failed(
        SLOW, code=ErrorCode.DEADLINE_PASSED, columns={"deadline_at": deadline}
    )
    row = await run.row()
    assert row.completed_at is not None
    assert row.completed_at - deadline < timedelta(seconds=60)


async def test_a_deadline_cuts_a_providers_delay(engine: Engine) -> None:
    run = await engine.failed(
        {"error": {"status": 529, "type": "overloaded_error", "retry_after": 200}},
        code=ErrorCode.DEADLINE_PASSED,
        columns={"deadline_at": datetime.now(UTC) + timedelta(seconds=6)},
    )
    assert len(await run.model_calls()) == 1


async def test_spend_never_passes_the_budget(engine: Engine) -> None:
    budget = Decimal("0.40")
    run = await engine.failed(
        {**LISTING, "usage": {"input_tokens": 10_000, "output_tokens": 1000}, "repeat": 50},
        code=ErrorCode.BUDGET_EXHAUSTED,
        **LISTS,
        sdk_options={"max_tokens": 2000, "max_budget_usd": 0.40},
    )
    row = await run.row()
    assert Decimal("0.25") < row.cost_usd <= budget
    assert "budget.exceeded" in await run.event_types()
    assert f"${row.cost_usd} of" in (row.error_message or "")


async def test_an_executions_own_budget_goes_before_the_tasks(engine: Engine) -> None:
    run = await engine.failed(
        {"text": "x"},
        code=ErrorCode.BUDGET_EXHAUSTED,
        sdk_options={"max_budget_usd": 100},
        columns={"budget_usd": Decimal("0.000001")},
    )
    assert not await run.model_calls()


async def test_a_budget_without_a_price_makes_no_call(engine: Engine) -> None:
    options = {"model": "somebody-elses-model", "max_budget_usd": 5}
    run = await engine.failed({"text": "x"}, code=ErrorCode.BUDGET_EXHAUSTED, sdk_options=options)
    assert not await run.model_calls()


async def test_a_model_without_a_price_runs_without_a_budget(engine: Engine) -> None:
    run = await engine.completed({"text": "x"}, sdk_options={"model": "somebody-elses-model"})
    assert (await run.row()).cost_usd == 0
    assert (await run.row()).output_tokens > 0


@pytest.mark.parametrize(("turns", "activities"), [(1, 5), (2, 3), (None, 1)])
async def test_segments_are_activities(engine: Engine, turns: int | None, activities: int) -> None:
    run = await engine.completed(
        {**LISTING, "repeat": 4}, {"text": "done"}, **LISTS, sdk_options={"segment_turns": turns}
    )
    events = json.loads(await run.history())["events"]
    scheduled = [e for e in events if "activityTaskScheduledEventAttributes" in e]
    assert len(scheduled) == activities
    assert len(engine.scripted.calls) >= 5
    assert [call.try_number for call in await run.model_calls()] == [1] * 5


async def test_a_full_worker_still_moves_everybody(engine: Engine) -> None:
    runs = await asyncio.gather(
        *(engine.start({**LISTING, "repeat": 2}, {"text": "ok"}, **LISTS) for _ in range(20))
    )
    rows = await asyncio.gather(*(run.ended() for run in runs))
    assert {row.status for row in rows} == {ExecutionStatus.COMPLETED}
