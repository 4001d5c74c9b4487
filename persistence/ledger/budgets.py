"""The accounts of trees of executions: reserved before a call, settled after it.

The rules are in `domain/executions/budgets.py`.

Their rows are locked last (`persistence/db/locks.py`). An execution without a row has no budget in
its tree.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions import budgets
from domain.executions.budgets import Account, Shortage, Waiting
from domain.executions.states import TERMINAL
from persistence.db import sql
from persistence.db.live_updates import RELAY_CHANNEL, WAKE_CHANNEL
from persistence.tables.executions import ExecutionRow

_SQL = sql.load("ledger/budgets.sql", terminal=sql.quote(TERMINAL))

Path = Sequence[Account]
"""The accounts that limit an execution: the outermost first, its own last."""


async def open_account(
    session: AsyncSession, execution_id: UUID, *, parent_id: UUID | None, has_budget: bool
) -> None:
    """Open the account of a new execution, if it has a budget or its parent has an account."""
    await open_accounts(session, {execution_id: has_budget}, parent_id=parent_id)


async def open_accounts(
    session: AsyncSession, has_budget: Mapping[UUID, bool], *, parent_id: UUID | None
) -> None:
    """As `open_account`, for new executions with the same parent."""
    parameters = {
        "ids": list(has_budget),
        "has_budgets": list(has_budget.values()),
        "parent_id": parent_id,
    }
    await session.execute(_SQL["open"], parameters)


async def limit_to_parent(session: AsyncSession, parent_id: UUID, budget_usd: Decimal) -> Decimal:
    """The budget of a subtask: what was asked for, and at most what is left of its parent's."""
    left = await find_left(session, parent_id)
    return budget_usd if left is None else min(budget_usd, left)


async def find_left(session: AsyncSession, execution_id: UUID) -> Decimal | None:
    """What an execution may still spend, apart from reservations; None without a limit."""
    return budgets.compute_remaining_usd(await read_path(session, execution_id))


async def find_limit(session: AsyncSession, row: ExecutionRow) -> Decimal | None:
    """The budget of an execution; of a subtask without one, the lowest of those above it."""
    if row.budget_usd is not None or row.parent_execution_id is None:
        return row.budget_usd
    path = await read_path(session, row.id)
    return min((a.limit_usd for a in path if a.limit_usd is not None), default=None)


async def read_path(session: AsyncSession, execution_id: UUID) -> Path:
    """The accounts that limit an execution, without a lock; empty if there is no budget."""
    found = await session.execute(_SQL["read_path"], {"execution_id": execution_id})
    return _accounts(found.all())


async def lock_path(session: AsyncSession, execution_id: UUID) -> Path:
    """Lock an execution, and then its accounts."""
    found = await session.execute(_SQL["lock_path"], {"execution_id": execution_id})
    return _accounts(found.all())


async def reserve(session: AsyncSession, execution_id: UUID, usd: Decimal) -> Shortage | None:
    """Reserve the maximum cost of a call, or note that the call needs it and return the shortage.

    If the shortage is temporary, the execution gets a signal when reservations are settled.
    """
    path = await lock_path(session, execution_id)
    shortage = budgets.find_shortage(path, usd)
    if shortage is None:
        await _change(session, path, reserved_usd=usd, caller_id=execution_id)
        return None
    parameters = {
        "execution_id": execution_id,
        "needed_usd": usd,
        "is_temporary": shortage.is_temporary,
    }
    await session.execute(_SQL["note_shortage"], parameters)
    return shortage


async def settle(
    session: AsyncSession, execution_id: UUID, *, reserved_usd: Decimal, spent_usd: Decimal
) -> None:
    """Replace a reservation with what was spent, and signal the executions that waited for it."""
    path = await lock_path(session, execution_id)
    if not path:
        return
    await _change(session, path, reserved_usd=-reserved_usd, spent_usd=spent_usd)
    await _wake_waiting(session, path[0].execution_id)


async def raise_limits(
    session: AsyncSession, execution_id: UUID, limit_usd: Decimal
) -> Mapping[UUID, Decimal]:
    """Raise the budget that is short for the execution's next call; returns the new limits.

    The executions on its path are locked (`lock_executions`). Others of its tree whose calls now
    fit get a signal, also those that ask.
    """
    path = await lock_path(session, execution_id)
    needed = await session.scalar(_SQL["read_needed"], {"execution_id": execution_id})
    raised = budgets.raise_limits(path, limit_usd, needed or Decimal(0))
    for raised_id, limit in raised.items():
        row = await session.get_one(ExecutionRow, raised_id)
        row.budget_usd = limit
    await session.flush()
    if raised:
        await _wake_waiting(session, path[0].execution_id, first_id=execution_id)
    return raised


async def lock_executions(session: AsyncSession, execution_id: UUID) -> None:
    """Lock an execution and those whose budgets limit it, the older ones first."""
    await session.execute(_SQL["lock_executions"], {"execution_id": execution_id})


async def _change(
    session: AsyncSession,
    path: Path,
    *,
    reserved_usd: Decimal,
    spent_usd: Decimal = budgets.ZERO,
    caller_id: UUID | None = None,
) -> None:
    parameters = {
        "caller_id": caller_id,
        "path": [account.execution_id for account in path],
        "reserved_usd": reserved_usd,
        "spent_usd": spent_usd,
    }
    await session.execute(_SQL["change"], parameters)


async def _wake_waiting(
    session: AsyncSession, root_id: UUID, *, first_id: UUID | None = None
) -> None:
    """Signal the executions of a tree whose calls fit now; the root's account is locked.

    The call of `first_id` has precedence.
    """
    parameters = {"root_id": root_id, "first_id": first_id}
    rows = (await session.execute(_SQL["list_waiting"], parameters)).all()
    waiting = [Waiting(row.execution_id, row.path, row.needed_usd, row.is_asking) for row in rows]
    if not waiting:
        return
    ids = list({account for execution in waiting for account in execution.path})
    found = _accounts((await session.execute(_SQL["read_accounts"], {"ids": ids})).all())
    woken = budgets.choose_woken({a.execution_id: a for a in found}, waiting)
    if woken:
        wake = {
            "ids": list(woken),
            "wake_channel": WAKE_CHANNEL,
            "relay_channel": RELAY_CHANNEL,
        }
        await session.execute(_SQL["wake"], wake)


def _accounts(rows: Sequence[Row[Any]]) -> Path:
    return [
        Account(row.execution_id, row.limit_usd, row.spent_usd, row.reserved_usd) for row in rows
    ]
