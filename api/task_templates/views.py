"""Task templates, from rows to what clients read."""

from api import links
from api.http.rendering import from_row
from api.http.request_context import Call
from api.task_templates.schemas import TaskTemplateRead
from persistence.tables.task_templates import TaskTemplateRow


def render_task_template(_: Call, row: TaskTemplateRow) -> TaskTemplateRead:
    """Return a template as clients read it."""
    return from_row(TaskTemplateRead, row, links=links.task_template(row.id))
