"""Executions that call, fail, crash and answer late: together they never pass the root's budget."""

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from domain.errors import FencedOutError
from domain.executions.budgets import Shortage
from domain.executions.states import ExecutionStatus
from domain.executions.steps import CallIntent, CallOutcome, CallStatus, Step
from persistence.db.database import Database
from persistence.executions.step_log import ExecutionRecord
from persistence.ledger import budgets
from services.executions import finishing
from tests.databases import Databases
from tests.persistence.budget_trees import (
    check_accounts,
    open_children,
    open_root,
    read_open_calls,
    read_sums,
)
from tests.persistence.opened import Opened, answer, intent

CAP = Decimal("0.5")
CHILDREN, GRANDCHILDREN = 10, 4
"""Fifty executions below the root."""

CALLS = 2
WAITS = 10
"""How often a call that has to wait is tried again."""

TREES = 5
"""How many share a database: its query plans are those of empty tables."""


class Subtask:
    """One execution below the root, with attempts that crash."""

    def __init__(self, execution: Opened, chance: random.Random, root: Opened) -> None:
        self.execution = execution
        self.chance = chance
        self.root = root
        self.segment = 10  # its subtasks were opened by earlier ones
        self.writer: ExecutionRecord | None = None
        self.messages = 1
        self.tries = 0

    async def live(self) -> None:
        """Make some calls; the end may find one in flight."""
        for _ in range(CALLS):
            if not await self.call():
                return
        if self.chance.random() < 0.3:
            await self.reserve()
            await self.finish()

    async def call(self) -> bool:
        """Make one call, again after each crash or failure; False if it can never fit."""
        for _ in range(WAITS):
            call = await self.reserve()
            if isinstance(call, Shortage):
                if not call.is_temporary:
                    return False
                await asyncio.sleep(0)  # lets the others continue; this waits for nothing
                continue
            if await self.end(call):
                return True
        return False

    async def reserve(self) -> CallIntent | Shortage:
        """The next call of this attempt, or of a new one, which charges a call that was lost."""
        self.tries += 1
        if self.writer is None:
            self.segment += 1
            self.writer = await self.execution.writer(self.segment)
        usd = Decimal(self.chance.randint(1, 100_000)) / 1_000_000
        call = intent(self.tries, estimate_usd=usd)
        written = await self.writer.write_intent(Step(call_intent=call), reserve_usd=usd)
        if self.chance.random() < 0.2:
            await self.check_root()
        return written if isinstance(written, Shortage) else call

    async def end(self, call: CallIntent) -> bool:
        """Answer, fail, crash, or answer when another attempt has begun; whether it is answered."""
        assert call.estimate_usd is not None
        assert self.writer is not None
        cost = (call.estimate_usd * self.chance.randint(0, 100) / 100).quantize(Decimal("0.000001"))
        outcome = CallOutcome(call.id, CallStatus.SUCCEEDED, cost_usd=cost)
        match self.chance.choice(["answer", "answer", "fail", "crash", "late"]):
            case "answer":
                self.messages += 1
                await self.writer.write(answer(call, seq=self.messages, cost_usd=cost))
                return True
            case "fail":
                await self.writer.write(Step(call_outcome=CallOutcome(call.id, CallStatus.FAILED)))
            case "crash":
                self.writer = None
            case "late":
                late, self.segment = self.writer, self.segment + 1
                self.writer = await self.execution.writer(self.segment)
                with pytest.raises(FencedOutError):
                    await late.write(Step(call_outcome=outcome))
                await late.settle_cost(outcome)
        return False

    async def finish(self) -> None:
        self.segment += 1
        async with self.execution.database.transaction() as session:
            await finishing.finish(
                session,
                self.execution.id,
                self.execution.identity(self.segment),
                status=ExecutionStatus.FAILED,
                error_code=None,
            )

    async def check_root(self) -> None:
        async with self.execution.database.reading() as session:
            [account, *_] = await budgets.read_path(session, self.root.id)
        assert account.spent_usd + account.reserved_usd <= CAP


async def spend_budget(database: Database, seed: int) -> Decimal:
    """Let fifty subtasks spend the budget of one root; returns what was spent."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    root = await open_root(database, str(CAP))
    children = await open_children(root, [budget_of(chance) for _ in range(CHILDREN)])
    grandchildren = await asyncio.gather(
        *(open_children(c, [budget_of(chance) for _ in range(GRANDCHILDREN)]) for c in children)
    )
    everyone = [*children, *(one for group in grandchildren for one in group)]
    subtasks = [Subtask(one, random.Random(chance.random()), root) for one in everyone]  # noqa: S311
    await asyncio.gather(*(subtask.live() for subtask in subtasks))
    open_calls = await read_open_calls(root)
    await asyncio.gather(
        *(subtask.finish() for subtask in subtasks if subtask.execution.id in open_calls)
    )
    spent, reserved = await read_sums(root)
    assert isinstance(spent, Decimal)
    assert reserved == 0
    assert spent <= CAP
    await check_accounts(database, root=root)
    return spent


def budget_of(chance: random.Random) -> Decimal | None:
    """None, a small one, or more than there is."""
    return chance.choice([None, None, Decimal("0.2"), Decimal(1000)])


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.connect(database_url)
    yield database
    await database.close()


async def test_the_tree_never_spends_more_than_the_root_may(database: Database) -> None:
    assert await spend_budget(database, seed=1) > CAP / 2


@pytest.mark.long
@pytest.mark.timeout(20_000)  # a thousand trees, on a machine that other work shares
async def test_many_trees(databases: Databases, pytestconfig: pytest.Config) -> None:
    """Two trees at a time, by default thirty; see `--budget-trees`."""
    first, last = pytestconfig.getoption("budget_trees").split("-")
    seeds = range(int(first), int(last) + 1)
    batches = iter([seeds[n : n + TREES] for n in range(0, len(seeds), TREES)])

    async def spend_next() -> None:
        for batch in batches:
            await spend_budgets(databases, batch)

    await asyncio.gather(spend_next(), spend_next())


async def spend_budgets(databases: Databases, seeds: range) -> None:
    """One tree for each seed, in a database of their own."""
    url = await databases.take()
    database = Database.connect(url, pool_seconds=600)
    for seed in seeds:
        await spend_budget(database, seed)
    await database.close()
    await databases.put_back(url)
