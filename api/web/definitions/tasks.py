"""The form of a task, and how it is stored."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages
from api.web.definitions.task_fields import (
    BASICS,
    NEW,
    SECTIONS,
    TaskFields,
    complete_task,
    show_task,
)
from api.web.page_forms import make_body
from definitions.tasks import TaskDefinition
from persistence.definitions.dependents import Dependent
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskRow
from services.caller import Caller
from services.definitions import tasks
from services.definitions.inputs import (
    Name,
    TaskCreate,
    TaskUpdate,
)
from services.executions.access import get_own_task
from services.unit_of_work import Precondition, UnitOfWork

_PROMPT = Field(
    "prompt_template", "Prompt", "Placeholders such as {{ day }} become fields of the run."
)


class TaskForm(TaskFields):
    """A task in a form."""

    name: Name


class TaskStore:
    """Stores forms of tasks."""

    fixed: Collection[str] = ()
    """Everything can be changed later."""

    async def find(self, session: AsyncSession, caller: Caller, key: UUID) -> StoredTask:
        """Return a task of the caller (`DefinitionStore.find`)."""
        return await get_own_task(session, caller, key, lock=False)

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> TaskRow:
        """Create a task (`DefinitionStore.create`)."""
        body = make_body(TaskCreate, complete_task(members))
        return (await tasks.create_task(work, body)).row

    async def update(
        self, work: UnitOfWork, key: UUID, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Change a task (`DefinitionStore.update`)."""
        body = make_body(TaskUpdate, complete_task(members))
        await tasks.update_task(work, key, body, lambda stored: precondition(stored.row))

    async def delete(self, work: UnitOfWork, key: UUID) -> None:
        """Delete a task. Its executions stay readable (`DefinitionStore.delete`)."""
        await tasks.delete_task(work, key, lambda _: None)

    async def dependents(self, work: UnitOfWork, row: TaskRow) -> Sequence[Dependent]:
        """Nothing names a task (`DefinitionStore.dependents`)."""
        del work, row
        return ()


def _read_task(stored: StoredTask) -> Mapping[str, Any]:
    row, definition = stored.row, TaskDefinition.model_validate(stored.definition)
    columns = {name: getattr(row, name) for name in tasks.TASK_FIELDS}
    return show_task({**definition.model_dump(mode="json"), **columns, **(row.entered_tools or {})})


TASK_PAGES = DefinitionPages(
    path="/tasks",
    texts={
        "title": "Tasks",
        "noun": "task",
        "change": "Executions in progress keep the version that they started with.",
        "delete": "Its executions stay readable; its schedule stops.",
    },
    store=TaskStore(),
    model=TaskForm,
    sections=(
        Section("", (*BASICS, _PROMPT)),
        *SECTIONS,
    ),
    new=NEW,
    read_row=_read_task,
    row_of=lambda stored: stored.row,
    key="task_id",
    has_own_page=True,
)
