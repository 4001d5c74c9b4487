"""Calls of the scripted model are marked, count against budgets, and are not paid."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from domain.executions.states import ExecutionStatus
from domain.executions.steps import CallOutcome, CallStatus, Step
from persistence.db.database import Database
from persistence.executions.step_log import ExecutionRecord
from persistence.ledger import forecasts, stats
from persistence.ledger.quotas import load_usage
from persistence.ledger.usage import GroupBy, UsageFilter, sum_usage
from persistence.tables.sessions import ModelCallRow
from services.executions import finishing
from tests.persistence.budget_trees import read_sums
from tests.persistence.opened import HOST, Opened, answer, intent, open_execution
from tests.waiting import now_within_an_hour

PRICE = Decimal("0.25")


@pytest.fixture
async def execution(database: Database) -> Opened:
    return await open_execution(database, columns={"budget_usd": Decimal(1)})


async def writer_of(
    execution: Opened, segment: int, *, is_scripted: bool, attempt: int = 1
) -> ExecutionRecord:
    record = ExecutionRecord(
        execution.database,
        execution.id,
        execution.identity(segment, attempt),
        host_id=HOST,
        is_scripted=is_scripted,
    )
    await record.begin()
    return record


async def call(execution: Opened, segment: int, *, is_scripted: bool) -> None:
    writer = await writer_of(execution, segment, is_scripted=is_scripted)
    made = intent(segment, estimate_usd=PRICE)
    await writer.write_intent(Step(call_intent=made), reserve_usd=PRICE)
    await writer.write(answer(made, seq=segment + 1, cost_usd=PRICE))


async def sum_paid(execution: Opened) -> dict[str, Any]:
    """What counts as money, wherever money is counted."""
    today = (await now_within_an_hour()).date()
    user_id = (await execution.row()).user_id
    async with execution.database.reading() as session:
        narrowed = UsageFilter(today, today)
        usage = await sum_usage(session, GroupBy.USER, narrowed)
        by_model = await sum_usage(session, GroupBy.MODEL, narrowed)
        return {
            "quota": (await load_usage(session, user_id)).usd_today,
            "usage": usage.totals.cost_usd,
            "models": sum(group.measures.cost_usd for group in by_model.groups),
            "stats": (await stats.load_stats(session)).cost_today_usd,
        }


@pytest.mark.parametrize("is_scripted", [True, False])
async def test_only_real_calls_are_paid(execution: Opened, *, is_scripted: bool) -> None:
    await call(execution, 1, is_scripted=is_scripted)
    row = await execution.row()
    assert (row.is_scripted, row.cost_usd) == (is_scripted, PRICE)
    assert await read_sums(execution) == (PRICE, 0)
    assert set((await sum_paid(execution)).values()) == {Decimal(0) if is_scripted else PRICE}
    async with execution.database.reading() as session:
        assert list(await session.scalars(select(ModelCallRow.is_scripted))) == [is_scripted]


async def test_real_calls_of_a_run_that_began_scripted_are_paid(execution: Opened) -> None:
    await call(execution, 1, is_scripted=True)
    await call(execution, 2, is_scripted=False)
    row = await execution.row()
    assert (row.is_scripted, row.cost_usd) == (True, 2 * PRICE)
    assert set((await sum_paid(execution)).values()) == {PRICE}


@pytest.mark.parametrize("how", ["lost", "ended", "late"])
async def test_a_scripted_call_without_an_answer_is_not_paid(execution: Opened, how: str) -> None:
    writer = await writer_of(execution, 1, is_scripted=True)
    made = intent(estimate_usd=PRICE)
    await writer.write_intent(Step(call_intent=made), reserve_usd=PRICE)
    if how == "ended":
        async with execution.database.transaction() as session:
            failed = ExecutionStatus.FAILED
            await finishing.finish(
                session, execution.id, execution.identity(2), status=failed, error_code=None
            )
    else:
        await writer_of(execution, 2, is_scripted=False)
    if how == "late":
        await writer.settle_cost(CallOutcome(made.id, CallStatus.SUCCEEDED, cost_usd=PRICE / 5))
    row = await execution.row()
    assert row.cost_usd == row.scripted_cost_usd == (PRICE / 5 if how == "late" else PRICE)


async def test_a_worker_that_only_begins_marks_nothing(execution: Opened) -> None:
    await writer_of(execution, 1, is_scripted=True)
    assert not (await execution.row()).is_scripted


async def test_a_forecast_is_made_of_real_runs(execution: Opened) -> None:
    await call(execution, 1, is_scripted=True)
    row = await execution.row()
    assert row.task_id is not None
    async with execution.database.transaction() as session:
        kept = await session.merge(row)
        kept.status, kept.completed_at = "completed", datetime.now(UTC)
    async with execution.database.reading() as session:
        forecast = await forecasts.make_forecast(session, row.task_id, row.user_id)
    assert forecast.executions == 0
