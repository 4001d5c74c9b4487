"""Hook calls: a secret URL executes a task on behalf of its owner."""

from typing import Any
from uuid import UUID

from domain.errors import NotFoundError
from persistence.definitions import hooks, tasks
from persistence.executions.creation import Start
from persistence.tables.executions import ExecutionRow
from services.executions.starting import active_work_of, start_execution
from services.unit_of_work import UnitOfWork

TRIGGER_TYPE = "webhook"
NO_HOOK = "There is no such hook."


async def call_hook(
    work: UnitOfWork, hook_id: UUID, task_id: UUID, payload: dict[str, Any]
) -> ExecutionRow:
    """Start the task of a hook. The top-level fields of the payload are the prompt's variables.

    Raises:
        NotFoundError: the hook or its task is deleted.
        TaskInactiveError: the task is inactive.
        InvalidInputError: the payload does not fit the task.
        QuotaExceededError: the owner has reached a quota.
    """
    task = await tasks.find(work.session, task_id)
    if task is None or not await hooks.mark_used(work.session, hook_id):
        raise NotFoundError(NO_HOOK)
    start = Start(
        work=active_work_of(task),
        user_id=work.caller.user_id,
        actor=work.caller.actor,
        trigger_type=TRIGGER_TYPE,
        action="hook.execute",
        variables=payload,
        trigger_metadata=payload,
    )
    row = await start_execution(work, start)
    await work.record_audit(
        "hook.call",
        ("hook", hook_id),
        after={"execution_id": str(row.id), "task_id": str(task_id)},
        owner_id=work.caller.user_id,
    )
    return row
