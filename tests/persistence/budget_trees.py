"""Executions below one another whose accounts are in Postgres."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from activities.render_prompt import render_prompt
from domain.executions.steps import NewChild, Step
from domain.ids import new_id
from persistence.db.database import Database
from persistence.executions import admission
from tests.persistence.opened import Opened, open_execution

_WRONG = text("""
WITH RECURSIVE below AS (
    SELECT execution_id AS account, execution_id AS id FROM budgets
    WHERE root_id = coalesce(CAST(:root_id AS uuid), root_id)
    UNION
    SELECT below.account, e.id FROM executions e JOIN below ON e.parent_execution_id = below.id
),
sums AS (
    SELECT account, coalesce(sum(c.cost_usd), 0) AS spent,
        coalesce(sum(c.estimate_usd) FILTER (WHERE c.status = 'intended'), 0) AS reserved
    FROM below LEFT JOIN model_calls c ON c.execution_id = below.id GROUP BY account
)
SELECT account, spent, spent_usd, reserved, reserved_usd
FROM sums JOIN budgets ON budgets.execution_id = account
WHERE (spent, reserved) <> (spent_usd, reserved_usd)
""")

_ROOT = text("""
SELECT spent_usd, reserved_usd FROM budgets WHERE execution_id = :id
""")

_OPEN_CALLS = text("""
SELECT c.execution_id FROM budgets b JOIN model_calls c ON c.execution_id = b.execution_id
WHERE b.root_id = :id AND c.status = 'intended'
""")


async def open_root(database: Database, budget: str | None) -> Opened:
    columns = {"budget_usd": None if budget is None else Decimal(budget)}
    return await open_execution(database, columns=columns)


async def open_children(
    parent: Opened, budgets: list[Decimal | None], *, segment: int = 1
) -> list[Opened]:
    """Subtasks of an execution, written in one step and started."""
    definition: dict[str, Any] = {"prompt_template": "x"}
    children = [NewChild(new_id(), new_id(), "part", definition, budget) for budget in budgets]
    await (await parent.writer(segment)).write(Step(children=children))
    return [await _start(parent.database, child) for child in children]


async def _start(database: Database, child: NewChild) -> Opened:
    execution = Opened(database, child.id, f"execution-{child.id}")
    assert not (
        await admission.create_session(database, child.id, execution.identity(0))
    ).is_terminal
    await render_prompt(database, child.id, default_model="claude-opus-5-5")
    return execution


async def check_accounts(database: Database, *, root: Opened | None = None) -> None:
    """Each account, of one tree or of all, holds what the calls of its tree cost and reserve."""
    async with database.reading() as session:
        parameters = {"root_id": root.id if root else None}
        assert (await session.execute(_WRONG, parameters)).all() == []


async def read_sums(execution: Opened) -> tuple[Any, Any]:
    """What an execution's tree has spent and reserved."""
    async with execution.database.reading() as session:
        row = (await session.execute(_ROOT, {"id": execution.id})).one()
        return row.spent_usd, row.reserved_usd


async def read_open_calls(root: Opened) -> set[UUID]:
    """The executions of a tree that have a call in flight."""
    async with root.database.reading() as session:
        return set(await session.scalars(_OPEN_CALLS, {"id": root.id}))
