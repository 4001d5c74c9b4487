"""Convert rows to response bodies."""

import json
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from api import links
from api.agents.schemas import AgentRead
from api.artifacts.schemas import ArtifactRead
from api.executions.schemas import ExecutionRead, MessageRead, ModelCallRead, ToolCallRead
from api.hooks.schemas import HookRead
from api.http.request_context import Call
from api.input_requests.schemas import AskedToolCall, InputRequestRead
from api.mcp_servers.schemas import HealthRead, McpServerRead
from api.reports.schemas import ReportItem, ReportRead
from api.sessions.schemas import SessionRead
from api.task_templates.schemas import TaskTemplateRead
from api.task_versions.schemas import TaskVersionRead
from api.tasks.schemas import TaskRead
from api.tool_groups.schemas import ToolGroupRead
from contracts.definitions import TaskDefinition
from domain.agents import BUILT_IN_SLUGS
from domain.model_json import parsed
from domain.tool_groups import GROUP
from persistence.definitions.tasks import StoredTask
from persistence.tables.agents import AgentRow
from persistence.tables.artifacts import ArtifactRow
from persistence.tables.executions import ExecutionRow
from persistence.tables.hooks import HookRow
from persistence.tables.input_requests import InputRequestRow
from persistence.tables.mcp_servers import McpServerRow
from persistence.tables.model_calls import ModelCallRow
from persistence.tables.reports import ReportRow
from persistence.tables.sessions import MessageRow, SessionRow
from persistence.tables.task_templates import TaskTemplateRow
from persistence.tables.tasks import TaskRow, TaskVersionRow
from persistence.tables.tool_calls import ToolCallRow
from persistence.tables.tool_groups import ToolGroupRow
from services.definitions import mcp_values

_EXECUTION = tuple(f for f in ExecutionRead.model_fields if f != "links")
_TASK = tuple(f for f in TaskRead.model_fields if hasattr(TaskRow, f))
_DEFINITION = tuple(f for f in TaskRead.model_fields if f in TaskDefinition.model_fields)
_SESSION = tuple(f for f in SessionRead.model_fields if f != "links")
_REQUEST = tuple(
    f for f in InputRequestRead.model_fields if f not in {"links", "tool_call", "answer_schema"}
)
_AGENT = tuple(f for f in AgentRead.model_fields if hasattr(AgentRow, f))
_ARTIFACT = tuple(f for f in ArtifactRead.model_fields if f != "links")
_REPORT = tuple(f for f in ReportItem.model_fields if f != "links")


def execution(
    call: Call, row: ExecutionRow, unreadable: Collection[UUID] = frozenset()
) -> ExecutionRead:
    """An execution, without links to `unreadable` objects."""
    columns = _of(row, _EXECUTION)
    return ExecutionRead(**columns, links=links.execution(call, columns, unreadable))


def execution_of(call: Call, columns: Mapping[str, Any]) -> ExecutionRead:
    """An execution from the columns of a cached read; internal columns are ignored."""
    unreadable = set()
    reader = columns["task_reader"]
    if reader is None or not call.owns(reader):
        unreadable.add(columns["task_id"])
    if columns["session_is_deleted"]:
        unreadable.add(columns["session_id"])
    return ExecutionRead(**columns, links=links.execution(call, columns, unreadable))


_OWNERS = {"notification_config": None}
"""Other users cannot see the recipients of a public task: their executions do not notify them, and
the addresses are private."""


def task(call: Call, stored: StoredTask) -> TaskRead:
    """A task, for this caller; options are returned as sent, without defaults."""
    definition = TaskDefinition.model_validate(stored.definition)
    values = _of(definition, _DEFINITION)
    for field in ("sdk_options", "human_input_policy"):
        values[field] = getattr(definition, field).model_dump(mode="json", exclude_unset=True)
    values |= stored.row.entered_tools or {}
    if not call.owns(stored.row.user_id):
        values |= _OWNERS
    return TaskRead(
        **_of(stored.row, _TASK),
        **values,
        is_deleted=stored.row.deleted_at is not None,
        links=links.task(stored.row.id, is_own=call.owns(stored.row.user_id)),
    )


def task_version(call: Call, row: TaskVersionRow, owner_id: UUID) -> TaskVersionRead:
    """A version of a task, as it was stored."""
    values = _of(row, [f for f in TaskVersionRead.model_fields if f != "links"])
    if not call.owns(owner_id):
        values["definition"] = {**row.definition, **_OWNERS}
    return TaskVersionRead(**values, links=links.task_version(row.task_id, row.version))


def hook(row: HookRow) -> HookRead:
    """A hook without its secret."""
    fields = [f for f in HookRead.model_fields if f != "links"]
    return HookRead(**_of(row, fields), links=links.hook(row.task_id, row.id))


def tool_group(row: ToolGroupRow) -> ToolGroupRead:
    """A tool group."""
    fields = [f for f in ToolGroupRead.model_fields if f not in {"links", "rule"}]
    return ToolGroupRead(
        **_of(row, fields),
        rule=GROUP + row.name,
        links=links.one("tool-groups", row.id),
    )


def task_template(row: TaskTemplateRow) -> TaskTemplateRead:
    """A template as it was sent."""
    fields = [f for f in TaskTemplateRead.model_fields if f != "links"]
    return TaskTemplateRead(**_of(row, fields), links=links.task_template(row.id))


def mcp_server(row: McpServerRow) -> McpServerRead:
    """A registered MCP server, with secrets masked."""
    special = {"links", "headers", "env", "health"}
    return McpServerRead(
        **_of(row, [f for f in McpServerRead.model_fields if f not in special]),
        headers=mcp_values.shown(row.headers),
        env=mcp_values.shown(row.env),
        health=None if row.health is None else HealthRead.model_validate(row.health),
        links=links.mcp_server(row.id),
    )


def agent(row: AgentRow) -> AgentRead:
    """An agent; the row of a built-in agent is not stored."""
    return AgentRead(
        **_of(row, _AGENT),
        agent_id=row.slug,
        is_builtin=row.slug in BUILT_IN_SLUGS,
        links=links.agent(row.slug),
    )


def session(row: SessionRow) -> SessionRead:
    """A session."""
    return SessionRead(**_of(row, _SESSION), links=links.session(row.id))


def input_request(call: Call, row: InputRequestRow) -> InputRequestRead:
    """An input request with its tool call."""
    asked = None
    if row.tool_name is not None and row.tool_input is not None and row.input_sha256 is not None:
        asked = AskedToolCall(
            name=row.tool_name,
            input=json.loads(row.tool_input),
            input_sha256=row.input_sha256.hex(),
            input_schema=row.tool_input_schema,
        )
    return InputRequestRead(
        **_of(row, _REQUEST),
        answer_schema=row.schema,
        tool_call=asked,
        links=links.input_request(row, is_own=call.owns(row.user_id)),
    )


def message(row: MessageRow) -> MessageRead:
    """A message with its unchanged content blocks."""
    fields = [f for f in MessageRead.model_fields if f != "content"]
    return MessageRead(**_of(row, fields), content=json.loads(row.content))


def tool_call(row: ToolCallRow) -> ToolCallRead:
    """A tool call."""
    parsed = {"input", "approved_input", "input_sha256"}
    approved = row.approved_input
    return ToolCallRead(
        **_of(row, [f for f in ToolCallRead.model_fields if f not in parsed]),
        input=_said(row.input),
        approved_input=None if approved is None else json.loads(approved),
        input_sha256=row.input_sha256.hex(),
    )


def model_call(row: ModelCallRow) -> ModelCallRead:
    """An attempt of a model call."""
    return ModelCallRead.model_validate(row)


def artifact(row: ArtifactRow) -> ArtifactRead:
    """The metadata of an artifact."""
    return ArtifactRead(**_of(row, _ARTIFACT), links=links.artifact(row.id, row.execution_id))


def report_item(row: ReportRow, unreadable: Collection[UUID]) -> ReportItem:
    """A report without its content and without links to `unreadable` objects."""
    return ReportItem(**_report(row, unreadable))


def report(row: ReportRow, content: dict[str, Any], unreadable: Collection[UUID]) -> ReportRead:
    """A report; `content` includes the outcome of the execution."""
    return ReportRead(**_report(row, unreadable), content=content)


def _report(row: ReportRow, unreadable: Collection[UUID]) -> dict[str, Any]:
    task_id = None if row.task_id in unreadable else row.task_id
    return {**_of(row, _REPORT), "links": links.report(row.id, row.execution_id, task_id)}


def _said(text: str) -> Any:
    """The input of a tool call; invalid JSON is returned as text."""
    try:
        return parsed(text)
    except ValueError:
        return text


def _of(row: object, fields: Any) -> dict[str, Any]:
    return {field: getattr(row, field) for field in fields}
