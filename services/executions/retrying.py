"""Retries: a new execution that repeats one that has ended."""

from uuid import UUID

from domain.errors import (
    ConflictError,
    ExecutionActiveError,
    PermissionDeniedError,
    TaskInactiveError,
)
from domain.executions.priority import WorkSource
from domain.executions.states import ExecutionStatus
from domain.plans.plan import PLAN, STEP_TRIGGER
from persistence.definitions import tasks
from persistence.executions.creation import QueueTerms, Start
from persistence.ledger import budgets
from persistence.plans import generations
from persistence.tables.executions import ExecutionRow
from services.definitions import inline_work
from services.executions.access import get_own_execution
from services.executions.inputs import RetryBody
from services.executions.starting import start_execution
from services.unit_of_work import UnitOfWork


async def retry(work: UnitOfWork, execution_id: UUID, body: RetryBody) -> ExecutionRow:
    """Start an ended execution again from the beginning, in a session of its own.

    Raises:
        ExecutionActiveError: it has not ended.
        ConflictError: its task is inactive or deleted.
    """
    row = await start_execution(work, await check_retry(work, execution_id, body))
    await generations.copy(work.session, execution_id, row.id)
    return row


async def check_retry(work: UnitOfWork, execution_id: UUID, body: RetryBody) -> Start:
    """Return the start of a retry, or refuse it like `retry`."""
    row = await get_own_execution(work.session, work.caller, execution_id)
    if not ExecutionStatus(row.status).is_terminal:
        raise ExecutionActiveError(f"This execution is {row.status}; cancel it first.")
    if row.executor == PLAN or row.trigger_type == STEP_TRIGGER:
        plan_id = row.trigger_metadata.get("plan_id")
        raise ConflictError(f"This execution belongs to the plan {plan_id}; retry that plan.")
    await require_runnable_task(work, row)
    return Start(
        work=await inline_work.read_work(work.session, row),
        user_id=row.user_id,
        actor=work.caller.actor,
        trigger_type="retry",
        action="execution.retry",
        variables=row.prompt_variables if body.variables is None else body.variables,
        trigger_metadata=row.trigger_metadata,
        priority=row.priority,
        budget_usd=body.max_budget_usd or await budgets.find_limit(work.session, row),
        retry_of_id=row.id,
        queue=QueueTerms(
            source=None if row.source is None else WorkSource(row.source),
            estimated_duration_seconds=row.estimated_duration_seconds,
            input_data=row.input_data,
        ),
    )


async def require_runnable_task(work: UnitOfWork, row: ExecutionRow) -> None:
    """Check that the owner of an execution may still execute its task, if it has one.

    Raises:
        ConflictError: the task is inactive or deleted.
    """
    if row.task_id is None:
        return
    task = await tasks.find(work.session, row.task_id)
    if task is None:
        raise ConflictError("The task of this execution is deleted, so it can't run again.")
    if not task.row.is_active:
        raise TaskInactiveError("The task is inactive; set is_active to true to run it again.")
    if task.row.user_id != row.user_id and not task.row.is_public:
        raise PermissionDeniedError("The task of this execution is no longer public.")
