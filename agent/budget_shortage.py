"""What follows when a model call does not fit into the budgets of its tree."""

from datetime import datetime, timedelta
from uuid import UUID

from agent.input_requests import make_policy_fields
from domain.errors import ErrorCode
from domain.executions.budgets import Account, Shortage
from domain.executions.states import ExecutionStatus
from domain.executions.steps import Failure, NewRequest, StatusChange
from domain.ids import new_id
from domain.people.requests import InputPolicy, RequestKind

BUDGET_RESERVED = "budget_reserved"
"""The `status_reason` of an execution whose call fits when other calls have ended."""

RECHECK = timedelta(seconds=30)
"""How often a call that waits for reservations is tried again without a signal, which is lost if an
execution that was to continue first ended instead (chosen)."""


HIGHEST_USD = 1_000_000_000
"""The highest budget that a person may set: less than the database can store (chosen)."""


def wait_for_reservations(until: datetime) -> StatusChange:
    """The status of an execution that waits for the reservations of other calls."""
    return StatusChange(ExecutionStatus.RUNNING, reason=BUDGET_RESERVED, wakes_at=until)


def make_failure(shortage: Shortage, execution_id: UUID) -> Failure:
    """The failure if no person may be asked."""
    return Failure(ErrorCode.BUDGET_EXHAUSTED, _describe(shortage, execution_id))


def make_request(
    shortage: Shortage, execution_id: UUID, policy: InputPolicy, now: datetime
) -> NewRequest:
    """The request for a higher budget."""
    least = shortage.least_limit_usd
    return NewRequest(
        id=new_id(),
        kind=RequestKind.BUDGET,
        title="The budget is used up",
        body=(
            f"{_describe(shortage, execution_id)}\n\nApprove with values.max_budget_usd, at least "
            f"{least:f}, to raise the budget. Choose finish to complete the execution with the "
            "answers so far. Deny to fail it."
        ),
        schema={
            "type": "object",
            "properties": {
                "max_budget_usd": {
                    "type": "number",
                    "minimum": float(least),
                    "maximum": HIGHEST_USD,
                    "description": "The new budget in USD, including what is spent.",
                }
            },
            "required": ["max_budget_usd"],
            "additionalProperties": False,
        },
        **make_policy_fields(policy, now),
    )


def _describe(shortage: Shortage, execution_id: UUID) -> str:
    account = shortage.account
    return (
        f"The next call may cost up to ${shortage.needed_usd:f}; ${account.spent_usd:f} of "
        f"${account.limit_usd:f} are spent{_owner(account, execution_id)}."
    )


def _owner(account: Account, execution_id: UUID) -> str:
    if account.execution_id == execution_id:
        return ""
    return f" in execution {account.execution_id}, of which this is a subtask"
