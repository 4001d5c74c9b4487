"""Tasks created from templates."""

from uuid import UUID

from domain.errors import NotFoundError
from persistence.definitions import named_resources
from persistence.definitions.tasks import StoredTask
from persistence.tables.task_templates import TaskTemplateRow
from services.definitions import template_filling
from services.definitions.inputs import Parameter, TaskFromTemplate
from services.definitions.tasks import create_task
from services.unit_of_work import UnitOfWork


async def create_task_from_template(
    work: UnitOfWork, template_id: UUID, body: TaskFromTemplate
) -> StoredTask:
    """Create a task of the caller from a template, with its parameters filled in.

    Raises:
        NotFoundError: there is no such template.
        PermissionDeniedError: it is not public and belongs to another user.
        InvalidInputError: a parameter is missing or unknown, or the task can't run.
        DuplicateNameError: the caller has a task with this name.
    """
    row = await named_resources.find(work.session, TaskTemplateRow, template_id)
    if row is None:
        raise NotFoundError(f"Task template {template_id} does not exist.")
    if not row.is_public:
        work.caller.require_own(row.user_id, "task template")
    parameters = [Parameter.model_validate(p) for p in row.parameters]
    task = template_filling.filled(row.task, parameters, body)
    return await create_task(work, task, template_id=template_id)
