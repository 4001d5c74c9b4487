"""The tasks of a user and the public ones as prompts, with their variables as arguments."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    PromptReference,
    TextContent,
)

from api.http.paging import ListQuery, next_cursor
from api.mcp.context import ToolContext, call_of
from api.mcp.errors import protocol_error
from api.mcp.resources import KINDS
from definitions.tasks import TaskDefinition
from domain import templates
from domain.errors import PerdureError
from persistence.db.paging import Window
from persistence.definitions import tasks
from persistence.definitions.tasks import StoredTask, TaskFilter
from persistence.executions import queries
from persistence.executions.queries import ExecutionFilter
from services.executions.access import get_named_task

PAGE = 50

MOST_VALUES = 100
"""Values of one completion (the limit of the protocol)."""


async def list_prompts(
    ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
) -> ListPromptsResult:
    """The active tasks that the user may execute, newest first."""
    call = call_of(ctx)
    cursor = params.cursor if params else None
    try:
        window = ListQuery(page_size=PAGE, cursor=cursor).window()
    except PerdureError as error:
        raise protocol_error(error) from error
    async with call.gateway.database.reading() as session:
        user_id = call.principal.user_id
        page = await tasks.page(session, user_id, TaskFilter(is_active=True), window)
        page, found = await tasks.load_definitions(session, page)
    named = Counter(stored.row.name for stored in found)
    prompts = [_prompt(stored, is_unique=named[stored.row.name] == 1) for stored in found]
    return ListPromptsResult(prompts=prompts, next_cursor=next_cursor(page))


def _prompt(stored: StoredTask, *, is_unique: bool) -> Prompt:
    """A task as a prompt: by its name, or by its id if another task has the same name."""
    definition = TaskDefinition.model_validate(stored.definition)
    return Prompt(
        name=stored.row.name if is_unique else str(stored.row.id),
        title=stored.row.name,
        description=stored.row.description,
        arguments=_arguments(definition),
    )


def _arguments(definition: TaskDefinition) -> list[PromptArgument]:
    properties = _properties(definition)
    return [
        PromptArgument(
            name=name,
            description=_describe(properties.get(name), definition.default_variables.get(name)),
            required=name not in definition.default_variables,
        )
        for name in templates.names(definition.prompt_template)
    ]


def _describe(schema: Any, default: Any) -> str | None:
    described = schema.get("description") if isinstance(schema, dict) else None
    parts = [str(described)] if described else []
    parts += [f"Default: {default}"] if default is not None else []
    return " ".join(parts) or None


def _properties(definition: TaskDefinition) -> dict[str, Any]:
    properties = (definition.variables_schema or {}).get("properties")
    return properties if isinstance(properties, dict) else {}


async def get_prompt(
    ctx: ServerRequestContext[Any, Any], params: GetPromptRequestParams
) -> GetPromptResult:
    """The prompt of a task with these arguments.

    Raises:
        MCPError: there is no such task, or an argument is missing.
    """
    stored = await _find(ctx, params.name)
    definition = TaskDefinition.model_validate(stored.definition)
    given = {**definition.default_variables, **(params.arguments or {})}
    rendered = templates.render(definition.prompt_template, given)
    if rendered.missing:
        names = ", ".join(rendered.missing)
        raise MCPError(INVALID_PARAMS, f"Missing required arguments: {names}.")
    message = PromptMessage(role="user", content=TextContent(text=rendered.text))
    return GetPromptResult(description=stored.row.description, messages=[message])


async def _find(ctx: ServerRequestContext[Any, Any], name: str) -> StoredTask:
    context = ToolContext(call=call_of(ctx), request=ctx, tool_name=ctx.method)
    try:
        async with context.reading() as session:
            return await get_named_task(session, context.caller, name)
    except PerdureError as error:
        raise protocol_error(error) from error


async def complete(
    ctx: ServerRequestContext[Any, Any], params: CompleteRequestParams
) -> CompleteResult:
    """Values for an argument that begin with what the user has typed."""
    typed = params.argument.value
    if isinstance(params.ref, PromptReference):
        values = await _prompt_values(ctx, params.ref.name, params.argument.name)
    else:
        values = await _resource_values(ctx, params.ref.uri)
    found = [value for value in values if value.lower().startswith(typed.lower())]
    shown = found[:MOST_VALUES]
    has_more = len(found) > len(shown)
    return CompleteResult(completion=Completion(values=shown, total=len(found), has_more=has_more))


async def _prompt_values(
    ctx: ServerRequestContext[Any, Any], name: str, argument: str
) -> Sequence[str]:
    """The values that the schema of a variable lists, and its default."""
    definition = TaskDefinition.model_validate((await _find(ctx, name)).definition)
    schema = _properties(definition).get(argument)
    listed = (schema.get("enum") or schema.get("examples")) if isinstance(schema, dict) else None
    values = listed if isinstance(listed, list) else []
    default = definition.default_variables.get(argument)
    given = [*([default] if default is not None else []), *values]
    return list(dict.fromkeys(str(value) for value in given))


async def _resource_values(ctx: ServerRequestContext[Any, Any], template: str) -> Sequence[str]:
    """The ids of the latest executions, for a template of theirs."""
    if not any(kind.template == template and "executions" in template for kind in KINDS):
        return []
    call = call_of(ctx)
    async with call.gateway.database.reading() as session:
        window = Window(MOST_VALUES)
        page = await queries.page(session, call.principal.user_id, ExecutionFilter(), window)
    return [str(row.id) for row in page.rows]
