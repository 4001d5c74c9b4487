"""Tools that create and list tasks, with the fields of tasks or those of to-do lists."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from api.http.paging import ListQuery, PageSize, next_cursor
from api.mcp.context import ToolContext
from api.mcp.registry import AgentTool, ToolArguments, ToolResult
from api.mcp.tools.planned_tasks import OwnArguments
from api.mcp.views import View, shorten
from definitions.tasks import TaskDefinition
from domain import templates
from persistence.definitions import tasks as stored_tasks
from persistence.definitions.tasks import StoredTask, TaskFilter
from services.definitions import tasks
from services.definitions.inputs import Name, Prompt, TaskBody, TaskCreate, TaskUpdate
from services.definitions.updates import partial_of, validate_fields
from services.definitions.warnings import definition_warnings
from services.field_types import Text

LISTED_CHARACTERS = 500
"""Of each prompt in a list (chosen: enough to choose a task)."""


class TaskView(View):
    """A task of the user, or a public one."""

    task_id: UUID
    name: str
    description: str | None
    prompt_template: str
    variables: Annotated[list[str], Field(description="The placeholders of the prompt.")]
    default_variables: dict[str, Any]
    agent_id: str | None
    allowed_tools: list[str]
    tags: list[str]
    is_public: bool
    is_own: bool
    is_active: bool
    is_scheduled: bool
    is_deleted: bool
    version: int
    created_at: datetime
    updated_at: datetime


def view_task(context: ToolContext, stored: StoredTask) -> TaskView:
    """A task with the placeholders that execute_task fills."""
    row, definition = stored.row, TaskDefinition.model_validate(stored.definition)
    return TaskView(
        task_id=row.id,
        name=row.name,
        description=row.description,
        prompt_template=definition.prompt_template,
        variables=list(templates.names(definition.prompt_template)),
        default_variables=definition.default_variables,
        agent_id=definition.agent_id,
        allowed_tools=list(definition.allowed_tools),
        tags=list(row.tags),
        is_public=row.is_public,
        is_own=row.user_id == context.caller.user_id,
        is_active=row.is_active,
        is_scheduled=row.is_scheduled,
        is_deleted=row.deleted_at is not None,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@partial_of(TaskBody, without=("prompt_template", "description"))
class CreateTaskArguments(ToolArguments):
    """A task by its fields, or a to-do by `title` and `description`."""

    name: Annotated[Name | None, Field(description="Unique among the user's tasks.")] = None
    title: Annotated[Name | None, Field(description="The same as name.")] = None
    prompt_template: Annotated[
        Prompt | None,
        Field(description="What Claude should do; `{{ name }}` is filled from variables."),
    ] = None
    prompt: Annotated[Prompt | None, Field(description="The same as prompt_template.")] = None
    description: Text | None = None

    @model_validator(mode="after")
    def _has_name_and_prompt(self) -> Self:
        for names in (("name", "title"), ("prompt_template", "prompt")):
            if all(getattr(self, name) is not None for name in names):
                raise ValueError(f"Send either {names[0]} or {names[1]}.")
        if self.name is None and self.title is None:
            raise ValueError("Send a name.")
        if self.prompt_template is None and self.prompt is None and self.description is None:
            raise ValueError("Send a prompt_template.")
        return self

    def task(self) -> TaskCreate:
        """The task to create. Without a prompt, the description is the prompt."""
        given = self.model_dump(exclude_unset=True, exclude={"title", "prompt"})
        given["name"] = self.name or self.title
        given["prompt_template"] = self.prompt_template or self.prompt or self.description
        given.setdefault("allowed_tools", ())
        given.setdefault("sdk_options", {})
        return validate_fields(TaskCreate, given, "The task")


class CreatedTask(TaskView, ToolResult):
    """A new task."""

    warnings: Annotated[list[str], Field(description="What will probably go wrong.")]


async def _create_task(context: ToolContext, arguments: CreateTaskArguments) -> CreatedTask:
    async with context.transaction() as work:
        stored = await tasks.create_task(work, arguments.task())
        view = view_task(context, stored)
    warnings = definition_warnings(TaskDefinition.model_validate(stored.definition))
    values = ", ".join(view.variables)
    needed = f" and values for its variables ({values})" if view.variables else ""
    next_step = f"The task is stored; nothing runs yet. Run it with execute_task{needed}."
    return CreatedTask(**dict(view), warnings=warnings, next_step=next_step)


class ListTasksArguments(ToolArguments):
    """Filters and page."""

    q: Annotated[
        str | None, Field(max_length=200, description="Text in the name or the description.")
    ] = None
    tag: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    status: Literal["active", "inactive"] | None = None
    include_deleted: Annotated[
        bool, Field(description="Also list the user's own deleted tasks.")
    ] = False
    limit: PageSize = 20
    cursor: Annotated[
        str | None, Field(max_length=200, description="`next_cursor` of the previous result.")
    ] = None


class TaskList(ToolResult):
    """A page of tasks, newest first."""

    tasks: list[TaskView]
    total: int
    next_cursor: str | None


async def _list_tasks(context: ToolContext, arguments: ListTasksArguments) -> TaskList:
    narrowed = TaskFilter(
        tags=[arguments.tag] if arguments.tag else (),
        is_active=None if arguments.status is None else arguments.status == "active",
        text=arguments.q,
        include_deleted=arguments.include_deleted,
    )
    window = ListQuery(page_size=arguments.limit, cursor=arguments.cursor).window()
    async with context.reading() as session:
        page = await stored_tasks.page(session, context.caller.user_id, narrowed, window)
        page, found = await stored_tasks.load_definitions(session, page)
    return TaskList(
        tasks=[_shorten(view_task(context, stored)) for stored in found],
        total=page.total,
        next_cursor=next_cursor(page),
        next_step=(
            "Run a task with execute_task and its id or name."
            if found
            else "No task matches; define one with create_task."
        ),
    )


def _shorten(view: TaskView) -> TaskView:
    """The task with the beginning of its prompt: a hundred whole prompts would be too much."""
    return view.model_copy(
        update={"prompt_template": shorten(view.prompt_template, LISTED_CHARACTERS)}
    )


class UpdateTaskArguments(OwnArguments, TaskUpdate):
    """Changes to a task; fields that are left out do not change."""

    task_id: UUID
    title: Annotated[Name | None, Field(description="The same as name.")] = None
    prompt: Annotated[Prompt | None, Field(description="The same as prompt_template.")] = None

    def update(self) -> TaskUpdate:
        """The changes by the names of the task's fields."""
        unnamed = {"task_id", "user_id", "title", "prompt"}
        given = self.model_dump(exclude_unset=True, exclude=unnamed)
        if self.title is not None:
            given.setdefault("name", self.title)
        if self.prompt is not None:
            given.setdefault("prompt_template", self.prompt)
        return TaskUpdate.model_validate(given)


class UpdatedDefinition(TaskView, ToolResult):
    """The task after the changes."""


async def _update_task(context: ToolContext, arguments: UpdateTaskArguments) -> UpdatedDefinition:
    async with context.transaction() as work:
        stored = await tasks.update_task(
            work, arguments.task_id, arguments.update(), _accept_any_version
        )
        view = view_task(context, stored)
    return UpdatedDefinition(
        **dict(view), next_step="Executions in progress keep the version they started with."
    )


def _accept_any_version(_: object) -> None:
    """Tools send no `If-Match`."""


class DeleteDefinitionArguments(OwnArguments):
    """Which task to delete."""

    task_id: UUID


class DeletedDefinition(ToolResult):
    """The deleted task."""

    task_id: UUID
    is_deleted: bool


async def _delete_task(
    context: ToolContext, arguments: DeleteDefinitionArguments
) -> DeletedDefinition:
    async with context.transaction() as work:
        if not await tasks.is_deleted(work, arguments.task_id):
            await tasks.delete_task(work, arguments.task_id, _accept_any_version)
    return DeletedDefinition(
        task_id=arguments.task_id,
        is_deleted=True,
        next_step="Its executions stay readable; list_tasks shows it with include_deleted.",
    )


CREATE_TASK = AgentTool(
    name="create_task",
    group="default",
    title="Create a task",
    description=(
        "Define a reusable task: a prompt for Claude with placeholders such as {{ city }}, the "
        "tools it may use, and optionally a schedule, a report and a budget. Send name and "
        "prompt_template (or, for a to-do, title and description). Nothing runs until execute_task "
        "or the schedule starts it. allowed_tools is empty by default: the task can then only "
        "write text."
    ),
    arguments=CreateTaskArguments,
    result=CreatedTask,
    handler=_create_task,
)

LIST_TASKS = AgentTool(
    name="list_tasks",
    group="default",
    title="List tasks",
    description=(
        "List the tasks that can be executed: the user's own and public ones, newest first, with "
        "their ids and the variables they need. Narrow with q or tag; continue with next_cursor."
    ),
    arguments=ListTasksArguments,
    result=TaskList,
    handler=_list_tasks,
    is_read_only=True,
)

UPDATE_TASK = AgentTool(
    name="update_task",
    group="tasks",
    title="Change a task",
    description=(
        "Change fields of a task definition of the user; fields that are left out do not change. "
        "The owner and the id never change. Executions in progress keep the version they started "
        "with. task_id is the id of a task (see list_tasks), not of an execution."
    ),
    arguments=UpdateTaskArguments,
    result=UpdatedDefinition,
    handler=_update_task,
    is_idempotent=True,
)

DELETE_TASK = AgentTool(
    name="delete_task",
    group="tasks",
    title="Delete a task",
    description=(
        "Delete a task definition of the user. Its executions stay readable, and its schedule is "
        "removed. A second call changes nothing. task_id is the id of a task, not of an execution."
    ),
    arguments=DeleteDefinitionArguments,
    result=DeletedDefinition,
    handler=_delete_task,
    is_destructive=True,
    is_idempotent=True,
)
