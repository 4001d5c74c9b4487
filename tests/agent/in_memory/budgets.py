"""Budgets in memory: the sums are computed from the calls of the tree whenever they are needed."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from uuid import UUID

from definitions.tasks import TaskDefinition
from domain.executions import budgets
from domain.executions.budgets import Account, Shortage, Waiting
from domain.executions.steps import CallStatus
from tests.agent.in_memory.rows import Executions, StoredExecution


def limit_of(execution: StoredExecution) -> Decimal | None:
    """The budget of an execution, otherwise that of its task."""
    if execution.budget_usd is not None:
        return execution.budget_usd
    return TaskDefinition.model_validate(execution.definition).sdk_options.max_budget_usd


def path_of(executions: Executions, execution: StoredExecution) -> Sequence[Account]:
    """The accounts that limit an execution, the outermost first."""
    line = list(_with_ancestors(executions, execution))[::-1]
    limited = [limit_of(one) is not None for one in line]
    first = limited.index(True) if any(limited) else len(line)
    return [_account(executions, one) for one in line[first:]]


def _with_ancestors(
    executions: Executions, execution: StoredExecution
) -> Iterator[StoredExecution]:
    yield execution
    if execution.parent_execution_id is not None:
        parent = executions.by_id[execution.parent_execution_id]
        yield from _with_ancestors(executions, parent)


def _account(executions: Executions, execution: StoredExecution) -> Account:
    tree = list(_with_descendants(executions, execution))
    calls = [call for one in tree for call in one.model_calls.values()]
    reserved = [c.estimate_usd or Decimal(0) for c in calls if c.status is CallStatus.INTENDED]
    return Account(
        execution.id,
        limit_of(execution),
        spent_usd=sum((one.cost_usd for one in tree), Decimal(0)),
        reserved_usd=sum(reserved, Decimal(0)),
    )


def _with_descendants(
    executions: Executions, execution: StoredExecution
) -> Iterator[StoredExecution]:
    yield execution
    for child in executions.children_of(execution.id):
        yield from _with_descendants(executions, child)


def reserve(executions: Executions, execution: StoredExecution, usd: Decimal) -> Shortage | None:
    """Note a call that does not fit, and return why. The intent is the reservation."""
    shortage = budgets.find_shortage(path_of(executions, execution), usd)
    execution.needed_usd = None if shortage is None else usd
    is_waiting = shortage is not None and shortage.is_temporary
    executions.waiting_for_budget = [i for i in executions.waiting_for_budget if i != execution.id]
    if is_waiting:
        executions.waiting_for_budget.append(execution.id)
    return shortage


def wake_waiting(executions: Executions, *, first: StoredExecution | None = None) -> None:
    """Signal the executions whose calls fit now; the call of `first` has precedence."""
    waiting = [executions.by_id[i] for i in executions.waiting_for_budget]
    asking = [
        e
        for e in executions.by_id.values()
        if e.needed_usd is not None and e.id not in executions.waiting_for_budget
    ]
    ordered = sorted([*waiting, *asking], key=lambda e: e is not first)
    for execution_id in _choose_woken(executions, [e for e in ordered if not e.status.is_terminal]):
        if execution_id in executions.waiting_for_budget:
            executions.waiting_for_budget.remove(execution_id)
        executions.by_id[execution_id].needed_usd = None
        executions.send_signal(execution_id, "budget_released", {})


def _choose_woken(executions: Executions, waiting: Sequence[StoredExecution]) -> Sequence[UUID]:
    paths = {execution.id: path_of(executions, execution) for execution in waiting}
    accounts = {account.execution_id: account for path in paths.values() for account in path}
    return budgets.choose_woken(
        accounts,
        [
            Waiting(
                e.id,
                [account.execution_id for account in paths[e.id]],
                e.needed_usd or Decimal(0),
                is_asking=e.id not in executions.waiting_for_budget,
            )
            for e in waiting
        ],
    )


def raise_limits(executions: Executions, execution: StoredExecution, limit_usd: Decimal) -> None:
    """What the service does when a person raises the budget."""
    path = path_of(executions, execution)
    needed = execution.needed_usd or Decimal(0)
    for raised, limit in budgets.raise_limits(path, limit_usd, needed).items():
        executions.by_id[raised].budget_usd = limit
    wake_waiting(executions, first=execution)
