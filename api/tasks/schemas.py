"""Tasks, their versions and their dry runs, as clients read them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api import links
from api.http.paging import OwnedQuery
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from definitions.tasks import MemoryPolicy, NetworkPolicy, PermissionMode, TaskDefinition
from domain.tools.offers import OfferRule
from persistence.definitions.tasks import StoredTask, TaskFilter
from persistence.tables.definitions import TaskRow, TaskVersionRow
from services.definitions.warnings import (
    definition_warnings,
    model_warnings,
    schedule_warnings,
)
from services.field_types import UsdOut


class TaskRead(Read):
    """A task in its newest version."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    prompt_template: str
    variables_schema: dict[str, Any] | None
    default_variables: dict[str, Any]
    system_prompt: str | None
    agent_id: str | None
    allowed_tools: list[str]
    ask_tools: list[str]
    disallowed_tools: list[str]
    sdk_options: dict[str, Any]
    working_directory_path: str | None
    network: NetworkPolicy | None
    memory: MemoryPolicy | None
    is_scheduled: bool
    schedule_cron: str | None
    schedule_timezone: str
    schedule_enabled: bool
    schedule_overlap_policy: str
    schedule_catchup_window_seconds: int | None
    schedule_jitter_seconds: int | None
    artifact_retention_seconds: int | None
    generate_report: bool
    report_format: str | None
    notification_config: dict[str, Any] | None
    human_input_policy: dict[str, Any]
    tags: list[str]
    is_public: bool
    is_active: bool
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    is_deleted: bool
    warnings: Annotated[list[str], Field(description="What will probably go wrong.")]


class TaskVersionRead(Read):
    """One version of the definition of a task."""

    paths = {"self": "/tasks/{task_id}/versions/{version}", "task": "/tasks/{task_id}"}

    task_id: UUID
    version: int
    definition: dict[str, Any]
    created_by: UUID
    created_at: datetime


class DryRunPart(BaseModel):
    """Base of the parts of a dry run."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class OfferRead(DryRunPart):
    """A tool that would be offered to the model, with the rules that apply to it.

    `allowed`: every call runs. `ask`: every call needs approval. `by_pattern`: the patterns decide;
    a call that no pattern allows needs approval.
    """

    tool: str
    rule: OfferRule
    allowed: tuple[str, ...]
    ask: tuple[str, ...]
    disallowed: tuple[str, ...]


class SpreadRead(DryRunPart):
    """Limits that half and nine tenths of the past executions stayed within."""

    median: float
    p90: float


class ForecastRead(DryRunPart):
    """From your latest completed executions of the task, at most 100; null if there are none."""

    executions: Annotated[int, Field(description="The number of executions it is made from.")]
    cost_usd: SpreadRead | None = None
    input_tokens: Annotated[
        SpreadRead | None, Field(description="Including those read from and written to the cache.")
    ] = None
    output_tokens: SpreadRead | None = None
    turns: SpreadRead | None = None
    duration_seconds: Annotated[
        SpreadRead | None, Field(description="From start to end, including waits for people.")
    ] = None


class DryRunRead(Read):
    """What an execution would be. Nothing is started or stored."""

    task_id: UUID
    task_version: int
    rendered_prompt: str
    missing_variables: list[str]
    system_prompt: Annotated[
        str | None, Field(description="The agent's system prompt, then the task's.")
    ]
    agent_id: str | None
    model: str
    model_is_priced: bool
    permission_mode: PermissionMode
    tools: list[OfferRead]
    network: Annotated[
        list[str],
        Field(description="The hosts that tools may connect to: those that the server allows."),
    ]
    budget_usd: UsdOut | None
    forecast: ForecastRead
    warnings: Annotated[list[str], Field(description="What will probably go wrong.")]


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
    is_own = call.caller.owns(stored.row.user_id)
    if not is_own:
        values |= PRIVATE_FIELDS
    return from_row(
        TaskRead,
        stored.row,
        is_deleted=stored.row.deleted_at is not None,
        warnings=_find_warnings(call, stored.row, definition),
        links=links.task(stored.row.id, is_own=is_own),
        **values,
    )


def _find_warnings(call: Call, row: TaskRow, definition: TaskDefinition) -> list[str]:
    """Return warnings. A task without a model uses that of its agent, or the default one."""
    services = call.gateway.services
    default = None if definition.agent_id else services.settings.default_model
    model = definition.sdk_options.model or default
    return [
        *definition_warnings(definition),
        *(schedule_warnings(definition) if row.is_scheduled else ()),
        *model_warnings(services.models, model),
    ]


def render_task_version(call: Call, task: StoredTask, row: TaskVersionRow) -> TaskVersionRead:
    """Return a version of a task as this caller sees it."""
    is_own = call.caller.owns(task.row.user_id)
    definition = row.definition if is_own else {**row.definition, **PRIVATE_FIELDS}
    return from_row(TaskVersionRead, row, definition=definition)


class TaskQuery(OwnedQuery):
    """Filters of a list of tasks; `tags` may be repeated or separated by commas."""

    tags: list[str] = Field(default_factory=list)
    is_scheduled: bool | None = None
    is_active: bool | None = None
    q: Annotated[str | None, Field(max_length=200)] = None

    def filter(self) -> TaskFilter:
        """Return the filter for `persistence`."""
        tags = [tag.strip() for given in self.tags for tag in given.split(",") if tag.strip()]
        return TaskFilter(tags, self.is_scheduled, self.is_active, self.q)
