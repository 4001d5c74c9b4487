"""Tasks and their versions, from rows to what clients read."""

from api import links
from api.http.request_context import Call
from api.http.schemas import from_row
from api.tasks.schemas import TaskRead, TaskVersionRead
from contracts.definitions import TaskDefinition
from persistence.definitions.tasks import StoredTask
from persistence.tables.definitions import TaskVersionRow

DEFINITION_FIELDS = tuple(f for f in TaskRead.model_fields if f in TaskDefinition.model_fields)

PRIVATE_FIELDS = {"notification_config": None}
"""Only the owner of a public task sees whom it notifies: it contains addresses of people and of
webhooks, and does not apply to executions of other users."""


def render_task(call: Call, stored: StoredTask) -> TaskRead:
    """Return a task as this caller sees it; options are as they were sent, without defaults."""
    definition = TaskDefinition.model_validate(stored.definition)
    values = {field: getattr(definition, field) for field in DEFINITION_FIELDS}
    for field in ("sdk_options", "human_input_policy"):
        values[field] = getattr(definition, field).model_dump(mode="json", exclude_unset=True)
    values |= stored.row.entered_tools or {}
    is_own = call.owns(stored.row.user_id)
    if not is_own:
        values |= PRIVATE_FIELDS
    return from_row(
        TaskRead,
        stored.row,
        is_deleted=stored.row.deleted_at is not None,
        links=links.task(stored.row.id, is_own=is_own),
        **values,
    )


def render_task_version(call: Call, task: StoredTask, row: TaskVersionRow) -> TaskVersionRead:
    """Return a version of a task as this caller sees it."""
    is_own = call.owns(task.row.user_id)
    definition = row.definition if is_own else {**row.definition, **PRIVATE_FIELDS}
    return from_row(TaskVersionRead, row, definition=definition)
