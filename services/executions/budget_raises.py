"""Raises of budgets: what a person approves when a call does not fit."""

from decimal import Decimal
from typing import Any

from domain.people.requests import RequestKind
from persistence.ledger import budgets
from persistence.tables.sessions import InputRequestRow
from services.unit_of_work import UnitOfWork


async def lock_budgets(work: UnitOfWork, row: InputRequestRow) -> None:
    """Lock the executions whose budgets an answer to this request may raise, before any other."""
    if row.kind == RequestKind.BUDGET:
        await budgets.lock_executions(work.session, row.execution_id)


async def apply_raise(work: UnitOfWork, row: InputRequestRow, answer: dict[str, Any]) -> None:
    """Raise the budget that is short for the execution, if the answer says so.

    The budget may be that of an execution above it; those between them are raised with it.
    """
    is_raise = row.kind == RequestKind.BUDGET and row.schema is not None
    if not is_raise or answer["decision"] != "approve":
        return
    limit = Decimal(str(answer["values"]["max_budget_usd"]))
    raised = await budgets.raise_limits(work.session, row.execution_id, limit)
    for execution_id, usd in raised.items():
        await work.record_audit(
            "execution.raise_budget",
            ("execution", execution_id),
            after={"budget_usd": float(usd), "input_request_id": str(row.id)},
            owner_id=row.user_id,
        )
