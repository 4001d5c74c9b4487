"""Hooks: secret URLs that execute a task on behalf of its owner."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFoundError
from persistence.db.paging import Page, Window
from persistence.definitions import hooks, tasks
from persistence.definitions.hooks import NewHook
from persistence.executions.creation import Start
from persistence.tables.definitions import HookRow
from persistence.tables.executions import ExecutionRow
from services.caller import Caller
from services.definitions.inputs import HookCreate
from services.definitions.resources import Resource
from services.executions.access import get_own_task
from services.executions.starting import require_active_work, start_execution
from services.unit_of_work import UnitOfWork

TRIGGER_TYPE = "webhook"
NO_HOOK = "There is no such hook."


class Hooks(Resource[HookRow]):
    """The declaration of hooks. The key is the id of the task and the id of the hook."""

    entity, noun = "hook", "hook"

    async def find(
        self, session: AsyncSession, caller: Caller, key: Any, *, lock: bool = False
    ) -> HookRow:
        """Return a hook of a task of the caller (`Resource.find`)."""
        del lock
        task_id, hook_id = key
        await get_own_task(session, caller, task_id, lock=False)
        row = await hooks.find(session, task_id, hook_id)
        if row is None:
            raise NotFoundError(f"The task has no hook {hook_id}.")
        return row

    def audited_fields(self, row: HookRow) -> Mapping[str, Any]:
        """Return the task and the name; the token is a secret."""
        return {"task_id": str(row.task_id), "name": row.name}


HOOKS = Hooks()


async def list_hooks(
    session: AsyncSession, caller: Caller, task_id: UUID, window: Window
) -> Page[HookRow]:
    """Return a page of the hooks of a task of the caller."""
    await get_own_task(session, caller, task_id, lock=False)
    return await hooks.page(session, task_id, window)


async def create_hook(work: UnitOfWork, task_id: UUID, body: HookCreate) -> NewHook:
    """Create a hook of a task of the caller."""
    task = await get_own_task(work.session, work.caller, task_id)
    hook = await hooks.create(work.session, task_id, task.row.user_id, name=body.name)
    await work.record_audit(
        "hook.create",
        ("hook", hook.row.id),
        after=HOOKS.audited_fields(hook.row),
        owner_id=task.row.user_id,
    )
    return hook


async def call_hook(
    work: UnitOfWork, hook_id: UUID, task_id: UUID, payload: dict[str, Any]
) -> ExecutionRow:
    """Start the task of a hook. The top-level fields of the payload are the prompt's variables.

    Raises:
        TaskInactiveError: the task is inactive.
    """
    task = await tasks.find(work.session, task_id)
    if task is None or not await hooks.mark_used(work.session, hook_id):
        raise NotFoundError(NO_HOOK)
    start = Start(
        work=require_active_work(task),
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
