"""Accounts in Postgres: each call is reserved and settled in all budgets above it."""

import asyncio
from decimal import Decimal
from importlib import import_module

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select, text

from domain.errors import FencedOutError
from domain.executions.budgets import Shortage
from domain.executions.states import ExecutionStatus
from domain.executions.steps import CallIntent, CallOutcome, CallStatus, Receipt, Step
from persistence.db.database import Database
from persistence.executions.step_log import ExecutionRecord
from persistence.ledger import budgets
from persistence.tables.executions import SignalRow
from persistence.tables.ledger import BudgetRow
from services.executions import finishing
from tests.persistence.budget_trees import (
    check_accounts,
    open_children,
    open_root,
    read_sums,
)
from tests.persistence.opened import Opened, answer, everything, intent, open_execution


async def reserve(record: ExecutionRecord, usd: str, turn: int = 1) -> CallIntent:
    call = intent(turn, estimate_usd=Decimal(usd))
    written = await record.write_intent(Step(call_intent=call), reserve_usd=Decimal(usd))
    assert isinstance(written, Receipt)
    return call


async def refuse(record: ExecutionRecord, usd: str) -> Shortage:
    call = intent(estimate_usd=Decimal(usd))
    refused = await record.write_intent(Step(call_intent=call), reserve_usd=Decimal(usd))
    assert isinstance(refused, Shortage)
    return refused


async def signals_of(execution: Opened) -> list[str]:
    async with execution.database.reading() as session:
        query = select(SignalRow.kind).where(SignalRow.execution_id == execution.id)
        return list(await session.scalars(query))


async def test_without_a_budget_there_is_no_account(database: Database) -> None:
    execution = await open_execution(database)
    [child] = await open_children(execution, [None])
    assert not (await child.record(1).begin()).is_budgeted
    async with database.reading() as session:
        assert not (await session.scalars(select(BudgetRow))).all()


async def test_a_call_counts_in_every_account_above_it(database: Database) -> None:
    root = await open_root(database, "1")
    [child] = await open_children(root, [None])
    [grandchild] = await open_children(child, [Decimal("0.5")])
    writer = await grandchild.writer(1)
    call = await reserve(writer, "0.4")
    for execution in (root, child, grandchild):
        assert await read_sums(execution) == (0, Decimal("0.4"))
    await writer.write(answer(call, cost_usd=Decimal("0.1")))
    for execution in (root, child, grandchild):
        assert await read_sums(execution) == (Decimal("0.1"), 0)
    await check_accounts(database)


async def test_a_childs_budget_is_at_most_what_is_left(database: Database) -> None:
    root = await open_root(database, "1")
    writer = await root.writer(1)
    await writer.write(answer(await reserve(writer, "0.7"), cost_usd=Decimal("0.7")))
    modest, greedy, silent = await open_children(
        root, [Decimal("0.2"), Decimal(1000), None], segment=2
    )
    assert (await modest.row()).budget_usd == Decimal("0.2")
    assert (await greedy.row()).budget_usd == Decimal("0.3")
    assert (await silent.row()).budget_usd is None
    short = await refuse(await silent.writer(1), "0.31")
    assert (short.account.execution_id, short.is_temporary) == (root.id, False)


async def test_a_call_that_does_not_fit_leaves_nothing(database: Database) -> None:
    root = await open_root(database, "1")
    writer = await root.writer(1)
    before = await everything(database)
    assert not (await refuse(writer, "1.01")).is_temporary
    after = await everything(database)
    assert {name for name in after if after[name] != before[name]} == {"budgets"}
    assert await read_sums(root) == (0, 0)


async def test_a_writer_that_was_fenced_out_reserves_nothing(database: Database) -> None:
    root = await open_root(database, "1")
    older = await root.writer(1)
    await root.writer(2)
    with pytest.raises(FencedOutError):
        await older.write_intent(Step(call_intent=intent()), reserve_usd=Decimal("0.1"))
    assert await read_sums(root) == (0, 0)


async def test_a_lost_call_stays_spent(database: Database) -> None:
    root = await open_root(database, "1")
    [child] = await open_children(root, [None])
    await reserve(await child.writer(1), "0.4")
    await child.record(1, 2).begin()
    assert await read_sums(root) == (Decimal("0.4"), 0)
    await check_accounts(database)


async def test_a_late_answers_cost_replaces_the_lost_reservation(database: Database) -> None:
    root = await open_root(database, "1")
    [child] = await open_children(root, [None])
    older = await child.writer(1)
    call = await reserve(older, "0.4")
    newer = await child.writer(1, 2)
    outcome = CallOutcome(call.id, CallStatus.SUCCEEDED, cost_usd=Decimal("0.1"))
    for _ in range(2):
        await older.settle_cost(outcome)
        assert await read_sums(root) == (Decimal("0.1"), 0)
    await reserve(newer, "0.9")
    await check_accounts(database)


async def test_a_failed_call_costs_nothing(database: Database) -> None:
    root = await open_root(database, "1")
    writer = await root.writer(1)
    call = await reserve(writer, "0.9")
    await writer.write(Step(call_outcome=CallOutcome(call.id, CallStatus.FAILED)))
    assert await read_sums(root) == (0, 0)
    await reserve(writer, "1")


@pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
async def test_the_end_charges_a_call_without_an_answer(
    database: Database, status: ExecutionStatus
) -> None:
    root = await open_root(database, "1")
    [child] = await open_children(root, [Decimal("0.5")])
    await reserve(await child.writer(1), "0.4")
    async with database.transaction() as session:
        await finishing.finish(session, child.id, child.identity(2), status=status, error_code=None)
    assert await read_sums(root) == (Decimal("0.4"), 0)
    await check_accounts(database)


async def test_of_many_at_once_as_many_fit_as_fit(database: Database) -> None:
    root = await open_root(database, "1")
    children = await open_children(root, [None] * 8)
    writers = [await child.writer(1) for child in children]
    results = await asyncio.gather(
        *(
            writer.write_intent(Step(call_intent=intent()), reserve_usd=Decimal("0.3"))
            for writer in writers
        )
    )
    refused = [result for result in results if isinstance(result, Shortage)]
    assert len(refused) == 5
    assert all(shortage.is_temporary for shortage in refused)
    assert await read_sums(root) == (0, Decimal("0.9"))


async def test_settling_wakes_as_many_as_fit(database: Database) -> None:
    root = await open_root(database, "1")
    calling, first, second, third = await open_children(root, [None] * 4)
    writer = await calling.writer(1)
    call = await reserve(writer, "0.9")
    for waiting, usd in ((first, "0.4"), (second, "0.8"), (third, "0.3")):
        assert (await refuse(await waiting.writer(1), usd)).is_temporary
    await writer.write(answer(call, cost_usd=Decimal("0.2")))
    woken = [bool(await signals_of(child)) for child in (first, second, third)]
    assert woken == [True, False, True]
    assert await signals_of(first) == ["budget_released"]
    # The one that was left is woken by the next.
    writer = await first.writer(2)
    await writer.write(answer(await reserve(writer, "0.4"), cost_usd=Decimal(0)))
    assert await signals_of(second) == ["budget_released"]


async def test_a_wait_and_a_settlement_at_the_same_time(database: Database) -> None:
    """Whichever is first: the call fits, or it waits and is woken."""
    root = await open_root(database, "1")
    calling, waiting = await open_children(root, [None] * 2)
    for turn in range(1, 11):
        writer, other = await calling.writer(turn), await waiting.writer(turn)
        call = await reserve(writer, "0.9", turn)
        step = Step(call_intent=intent(turn))
        _, result = await asyncio.gather(
            writer.write(answer(call, seq=turn + 1, cost_usd=Decimal(0))),
            other.write_intent(step, reserve_usd=Decimal("0.5")),
        )
        if isinstance(result, Shortage):
            assert await signals_of(waiting) == ["budget_released"]
            async with database.transaction() as session:
                await session.execute(text("DELETE FROM signals WHERE kind = 'budget_released'"))
        else:
            assert step.call_intent is not None
            await other.write(
                Step(call_outcome=CallOutcome(step.call_intent.id, CallStatus.FAILED))
            )
        assert await read_sums(root) == (0, 0)


async def test_a_raise_changes_all_that_are_short_and_wakes(database: Database) -> None:
    root = await open_root(database, "1")
    asking, waiting, calling = await open_children(root, [Decimal(1), None, None])
    writer = await calling.writer(1)
    await writer.write(answer(await reserve(writer, "0.6"), cost_usd=Decimal("0.6")))
    await reserve(await calling.writer(2), "0.2", turn=2)
    assert (await refuse(await waiting.writer(1), "0.3")).is_temporary
    assert not (await refuse(await asking.writer(1), "1.2")).is_temporary
    async with database.transaction() as session:
        await budgets.lock_executions(session, asking.id)
        raised = await budgets.raise_limits(session, asking.id, Decimal("2.3"))
    # The subtask's budget is what is then left of its parent's.
    assert raised == {root.id: Decimal("2.3"), asking.id: Decimal("1.7")}
    assert (await root.row()).budget_usd == Decimal("2.3")
    assert await signals_of(waiting) == ["budget_released"]


async def test_a_raise_wakes_as_many_of_those_that_ask_as_fit(database: Database) -> None:
    root = await open_root(database, "1")
    asking = await open_children(root, [None] * 5)
    for child in asking:
        assert not (await refuse(await child.writer(1), "1.1")).is_temporary
    last = asking[-1]  # its call has precedence
    async with database.transaction() as session:
        await budgets.raise_limits(session, last.id, Decimal("3.3"))
    woken = [bool(await signals_of(child)) for child in asking]
    assert woken == [True, True, False, False, True]
    # A reservation that is settled for less makes room for the next.
    writer = await last.writer(2)
    await writer.write(answer(await reserve(writer, "1.1"), cost_usd=Decimal(0)))
    assert await signals_of(asking[2]) == ["budget_released"]
    await check_accounts(database)


async def test_the_migration_opens_the_accounts_of_existing_trees(database: Database) -> None:
    root = await open_root(database, "1")
    [child, _] = await open_children(root, [None, None])
    [grandchild] = await open_children(child, [Decimal("0.5")])
    free = await open_root(database, None)
    [limited, _] = await open_children(free, [Decimal("0.3"), None])
    for execution in (root, child, grandchild, limited):
        writer = await execution.writer(3)
        await writer.write(answer(await reserve(writer, "0.1"), cost_usd=Decimal("0.02")))
        await reserve(writer, "0.05", turn=2)
    async with database.transaction() as session:
        before = set((await session.execute(_ACCOUNTS)).all())
        await session.execute(text("DROP TABLE budgets"))
    async with database.engine.begin() as connection:
        await connection.run_sync(_open_accounts)
    async with database.reading() as session:
        assert set((await session.execute(_ACCOUNTS)).all()) == before
    assert {row.execution_id for row in before} >= {root.id, child.id, grandchild.id, limited.id}
    assert free.id not in {row.execution_id for row in before}
    await check_accounts(database)


_ACCOUNTS = text("""
SELECT execution_id, root_id, CAST(path AS text), spent_usd, reserved_usd FROM budgets
""")


def _open_accounts(connection: Connection) -> None:
    """Run the migration that adds budgets of trees."""
    with Operations.context(MigrationContext.configure(connection)):
        import_module("persistence.db.migrations.versions.20261128_budgets").upgrade()
