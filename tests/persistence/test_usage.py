"""Usage: the same sums, whether a day was added up before or is added up now."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from persistence.db.database import Database
from persistence.identity import users
from persistence.ledger import usage as usage_of
from persistence.ledger.usage import GroupBy, Measures, UsageFilter, UsageReport
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow, ModelCallRow, SessionRow
from services import maintenance
from tests.engine.storing import store
from tests.waiting import now_within_an_hour

LONG_AGO = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARCH = UsageFilter(date(2026, 3, 1), date(2026, 3, 31))


class Ledger:
    """A database with executions that have ended."""

    def __init__(self, database: Database, alice: UUID, bob: UUID) -> None:
        self.database = database
        self.alice, self.bob = alice, bob

    async def ran(self, ended: datetime | None, **fields: Any) -> ExecutionRow:
        """An execution that ended then, or is under way, on two models."""
        columns: dict[str, Any] = {
            "completed_at": ended,
            "status": "completed" if ended else "running",
            "input_tokens": 100,
            "output_tokens": 10,
            "cache_read_tokens": 1000,
            "cache_write_tokens": 30,
            "cost_usd": Decimal("0.5"),
            "running_ms": 2_000,
            **fields,
        }
        user_id = columns.pop("user_id", self.alice)
        row = await store(self.database, user_id, [{"text": "x"}])
        async with self.database.transaction() as session:
            kept = await session.get_one(ExecutionRow, row.id)
            conversation = SessionRow(user_id=user_id, name="x")
            session.add(conversation)
            await session.flush()
            kept.session_id = conversation.id
            for name, value in columns.items():
                setattr(kept, name, value)
            for model, tokens, cost in (("big", 60, "0.4"), ("small", 40, "0.1")):
                session.add(_call(row.id, model, tokens, Decimal(cost)))
        return kept

    async def add_wait(
        self, row: ExecutionRow, start: datetime, end: datetime | None, **more: Any
    ) -> None:
        """A request that was open in this time."""
        async with self.database.transaction() as session:
            session.add(
                InputRequestRow(
                    execution_id=row.id,
                    user_id=row.user_id,
                    kind="question",
                    title="?",
                    on_expiry="wait",
                    created_at=start,
                    answered_at=end,
                    **{"status": "answered", **more},
                )
            )

    async def read(self, group_by: GroupBy, narrowed: UsageFilter = MARCH) -> UsageReport:
        async with self.database.reading() as session:
            return await usage_of.sum_usage(session, group_by, narrowed)

    async def totals(self, narrowed: UsageFilter = MARCH) -> Measures:
        return (await self.read(GroupBy.DAY, narrowed)).totals


def _call(execution_id: UUID, model: str, tokens: int, cost: Decimal) -> ModelCallRow:
    used = {
        "input_tokens": tokens,
        "output_tokens": 5,
        "cache_read_tokens": 500,
        "cache_write_5m_tokens": 10,
        "cache_write_1h_tokens": 5,
    }
    return ModelCallRow(
        execution_id=execution_id,
        turn=1,
        try_number=1,
        status="succeeded",
        model=model,
        max_tokens=100,
        last_message_seq=1,
        request_sha256=b"",
        usage=used,
        cost_usd=cost,
    )


@pytest.fixture
async def ledger(database: Database) -> Ledger:
    async with database.transaction() as session:
        alice = (await users.find_or_create(session, "alice", "user")).id
        bob = (await users.find_or_create(session, "bob", "user")).id
    return Ledger(database, alice, bob)


async def test_a_refused_call_costs_its_model_nothing(ledger: Ledger) -> None:
    row = await ledger.ran(LONG_AGO)
    async with ledger.database.transaction() as session:
        refused = _call(row.id, "big", 0, Decimal(0))
        refused.try_number, refused.status, refused.usage = 2, "failed", None
        refused.cost_usd, refused.estimate_usd = None, Decimal("0.3")
        session.add(refused)
    by_model = await ledger.read(GroupBy.MODEL)
    assert {g.key: g.measures.cost_usd for g in by_model.groups} == {
        "big": Decimal("0.4"),
        "small": Decimal("0.1"),
    }


async def close(ledger: Ledger) -> int:
    return await maintenance.sum_finished_days(ledger.database)


async def test_a_day_added_up_before_reads_as_it_did(ledger: Ledger) -> None:
    for hour in (0, 11, 23):
        ended = LONG_AGO.replace(hour=hour, minute=59)
        row = await ledger.ran(ended, status=("failed" if hour == 11 else "completed"))
        await ledger.add_wait(row, ended - timedelta(hours=2), ended - timedelta(hours=1))
    await ledger.ran(LONG_AGO + timedelta(days=2), user_id=ledger.bob, status="cancelled")
    before = [await ledger.read(group) for group in GroupBy]
    assert before[0].totals == Measures(
        executions=4,
        completed=2,
        failed=1,
        cancelled=1,
        input_tokens=400,
        output_tokens=40,
        cache_read_tokens=4000,
        cache_write_tokens=120,
        cost_usd=Decimal("2.0"),
        running_ms=8_000,
        human_wait_ms=3 * 3_600_000,
    )
    now = await now_within_an_hour()
    assert await close(ledger) == (now.date() - LONG_AGO.date()).days - (now.hour < 1)
    assert [await ledger.read(group) for group in GroupBy] == before
    assert await close(ledger) == 0


@pytest.mark.parametrize("is_closed", [False, True])
async def test_groups(ledger: Ledger, is_closed: bool) -> None:  # noqa: FBT001 - a parameter
    first = await ledger.ran(LONG_AGO)
    await ledger.ran(LONG_AGO + timedelta(days=1), user_id=ledger.bob, cost_usd=Decimal(9))
    if is_closed:
        await close(ledger)
    days = await ledger.read(GroupBy.DAY)
    assert [group.key for group in days.groups] == [date(2026, 3, 1), date(2026, 3, 2)]
    by_user = await ledger.read(GroupBy.USER)
    assert [(g.name, g.measures.executions) for g in by_user.groups] == [("bob", 1), ("alice", 1)]
    tasks = await ledger.read(GroupBy.TASK)
    assert {group.key for group in tasks.groups} >= {first.task_id}
    assert all(group.name for group in tasks.groups)
    models = await ledger.read(GroupBy.MODEL)
    assert [
        (g.key, g.measures.executions, g.measures.input_tokens, g.measures.cache_write_tokens)
        for g in models.groups
    ] == [("big", 2, 120, 30), ("small", 2, 80, 30)]
    assert models.totals == days.totals == tasks.totals == by_user.totals

    own = await ledger.read(GroupBy.MODEL, replace(MARCH, user_id=ledger.alice))
    assert [g.measures.cost_usd for g in own.groups] == [Decimal("0.4"), Decimal("0.1")]
    assert own.totals.executions == 1
    of_task = await ledger.totals(replace(MARCH, task_id=first.task_id))
    assert (of_task.executions, of_task.cost_usd) == (1, Decimal("0.5"))
    assert await ledger.totals(UsageFilter(date(2026, 4, 1), date(2026, 4, 2))) == Measures()


async def test_what_is_under_way_counts_today(ledger: Ledger) -> None:
    now = await now_within_an_hour()
    row = await ledger.ran(None)
    asked = now - timedelta(hours=5)
    await ledger.add_wait(row, asked, None, status="open")
    its_day = UsageFilter(now.date(), now.date())
    today = await ledger.totals(its_day)
    assert (today.executions, today.completed, today.cost_usd) == (1, 0, Decimal("0.5"))
    assert timedelta(hours=5) <= timedelta(milliseconds=today.human_wait_ms) < timedelta(hours=6)
    yesterday = now.date() - timedelta(days=1)
    assert await ledger.totals(UsageFilter(yesterday, yesterday)) == Measures()
    (group,) = (await ledger.read(GroupBy.MODEL, its_day)).groups[:1]
    assert (group.key, group.measures.executions) == ("big", 1)


async def test_time_with_two_requests_open_is_waited_once(ledger: Ledger) -> None:
    row = await ledger.ran(LONG_AGO)
    start = LONG_AGO - timedelta(hours=10)
    hour = timedelta(hours=1)
    await ledger.add_wait(row, start, start + 2 * hour)
    await ledger.add_wait(row, start + hour, start + 3 * hour)
    await ledger.add_wait(row, start + 5 * hour, None, status="expired", due_at=start + 6 * hour)
    await ledger.add_wait(row, start + 9 * hour, None, status="cancelled")
    assert (await ledger.totals()).human_wait_ms == 5 * 3_600_000


async def test_a_day_is_closed_an_hour_after_its_end(ledger: Ledger) -> None:
    await ledger.ran(LONG_AGO)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    async with ledger.database.transaction() as session:
        early = await usage_of.close_next_day(session, midnight + timedelta(minutes=59))
        then = await usage_of.close_next_day(session, midnight + timedelta(minutes=60))
        again = await usage_of.close_next_day(session, midnight + timedelta(minutes=60))
    assert (early, then, again) == (None, date(2026, 3, 1), None)


async def test_nothing_is_used_before_anything_runs(ledger: Ledger) -> None:
    assert await close(ledger) == 0
    for group in GroupBy:
        assert await ledger.read(group) == UsageReport([], Measures(), is_capped=False)
