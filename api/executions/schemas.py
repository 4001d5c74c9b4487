"""Executions, and what happened in them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    computed_field,
    model_validator,
)

from api.http.field_types import Body, Moment, Read, Text, UsdOut, Variables
from api.http.paging import ListQuery
from api.tasks.schemas import AgentId, Name, Path, Prompt, Tags, Tools
from contracts.definitions import HumanInputPolicy, ReportFormat, SdkOptions, Usd
from domain.states import ExecutionStatus

HIGHEST_PRIORITY = 10

MOST_PREREQUISITES = 100
"""Of one execution (chosen: they are locked while it is stored)."""

LATEST_TURN = 10_000
"""More than any execution may take (`max_turns`)."""

MOST_AT_ONCE = 1_000
"""Executions that one request changes (chosen: some seconds of work)."""

Word = Annotated[str, Field(max_length=200)]
TriggerType = Literal[
    "manual", "api", "scheduled", "webhook", "mcp", "cli", "subtask", "retry", "fork"
]


def _separated(value: Any) -> Any:
    """`a,b` as `a` and `b`, wherever it stands."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        return value
    return [part.strip() for item in given for part in item.split(",")]


class Narrowing(BaseModel):
    """What executions are chosen by. `created_to` itself is not included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: tuple[ExecutionStatus, ...] = ()
    task_id: UUID | None = None
    agent_id: Word | None = None
    trigger_type: TriggerType | None = None
    tag: Word | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None


class ExecutionQuery(Narrowing, ListQuery):
    """Which page of which executions. `status` may be repeated or separated by commas."""

    status: Annotated[tuple[ExecutionStatus, ...], BeforeValidator(_separated)] = ()
    parent_id: UUID | None = None
    session_id: UUID | None = None


class BulkBody(Body):
    """Many executions: those that fit `filter`, oldest first, or those named by `ids`."""

    filter: Narrowing | None = None
    ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MOST_AT_ONCE)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE
    dry_run: bool = False

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        if (self.filter is None) == (self.ids is None):
            raise ValueError("Send either a filter or ids.")
        if self.filter is not None and not any(dict(self.filter).values()):
            raise ValueError("An empty filter means every execution; name what you mean.")
        return self


class BulkCancelBody(BulkBody):
    """Executions to be cancelled, and why."""

    reason: Text | None = None


class Skipped(BaseModel):
    """An execution that was passed over."""

    id: UUID
    code: str
    reason: str


class BulkResult(BaseModel):
    """What came of it. `execution_ids` are the changed ones, or the new ones of a retry.

    After a dry run they are those that would be changed. `has_more`: the same request goes on.
    """

    matched: int
    changed: int
    skipped: list[Skipped]
    execution_ids: list[UUID]
    has_more: bool
    links: dict[str, str] = Field(serialization_alias="_links")


class ExecuteBody(Body):
    """How a task is to be run."""

    variables: Variables = Field(default_factory=dict)
    strict_variables: bool = False
    priority: Annotated[int, Field(ge=0, le=HIGHEST_PRIORITY)] = 5
    trigger_metadata: Variables = Field(default_factory=dict)
    session_id: UUID | None = None
    max_budget_usd: Usd | None = None
    deadline_at: Moment | None = None
    prerequisites: Annotated[list[UUID], Field(max_length=MOST_PREREQUISITES)] = Field(
        default_factory=list
    )
    """My executions that must be completed before this one starts."""


class WorkBody(ExecuteBody):
    """Work without a task: what is to be done, by whom and with what, and how it is to be run.

    `prompt` is sent as it is; with `variables` it is a template. Without `allowed_tools` the
    agent's are used.
    """

    title: Name | None = None
    prompt: Prompt
    agent_id: AgentId | None = None
    executor: Literal["claude", "external"] | None = None
    system_prompt: str | None = None
    allowed_tools: Tools | None = None
    ask_tools: Tools = ()
    disallowed_tools: Tools = ()
    sdk_options: SdkOptions = Field(default_factory=SdkOptions)
    working_directory_path: Path | None = None
    generate_report: bool = False
    report_format: ReportFormat | None = None
    notification_config: dict[str, Any] | None = None
    human_input_policy: HumanInputPolicy = Field(default_factory=HumanInputPolicy)
    tags: Tags = ()


class RetryBody(Body):
    """What is to be different the second time."""

    variables: Variables | None = None
    max_budget_usd: Usd | None = None


class ForkBody(Body):
    """Where to fork an execution, and what is to be different from there.

    `at_turn` 0 is before the first model call: the prompt is written anew. Later, `prompt` is a new
    message after what is shared.
    """

    at_turn: Annotated[int, Field(ge=0, le=LATEST_TURN)]
    variables: Variables | None = None
    model: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    prompt: Prompt | None = None


class MessageBody(Body):
    """What a person says."""

    content: Prompt


class CancelBody(Body):
    """Why an execution is to stop."""

    reason: Text | None = None


class ExecutionRead(Read):
    """One run (contract.md, section 3)."""

    id: UUID
    user_id: UUID
    task_id: UUID | None
    task_version: int | None
    session_id: UUID | None
    report_id: UUID | None
    parent_execution_id: UUID | None
    retry_of_id: UUID | None
    forked_from_id: UUID | None
    title: str
    summary: str | None
    agent_id: str | None
    executor: str
    tags: list[str]
    trigger_type: str
    trigger_metadata: dict[str, Any]
    prompt_variables: dict[str, Any]
    missing_variables: list[str]
    rendered_prompt: str | None
    status: ExecutionStatus
    status_reason: str | None
    wakes_at: datetime | None
    error_message: str | None
    error_code: str | None
    result_data: dict[str, Any] | None
    report_error: str | None
    total_messages: int
    total_tool_calls: int
    total_turns: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: UsdOut
    budget_usd: UsdOut | None
    priority: int
    workflow_id: str
    run_id: str | None
    deadline_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_reason: str | None
    pause_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def duration_ms(self) -> int | None:
        """From the start to the end; nothing before the end."""
        if self.completed_at is None or self.started_at is None:
            return None
        return round((self.completed_at - self.started_at).total_seconds() * 1000)

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def duration_seconds(self) -> float | None:
        """The same in seconds."""
        return None if self.duration_ms is None else self.duration_ms / 1000


class Line(BaseModel):
    """Base of what a story consists of: made from rows, without links of its own."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class EventRead(Line):
    """One event of an execution's story, as a list has it (contract.md, section 7)."""

    seq: int
    type: str
    at: datetime
    execution_id: UUID
    data: dict[str, Any]


class MessageRead(Line):
    """One message of a conversation; `content` holds Anthropic content blocks."""

    id: UUID
    session_id: UUID
    execution_id: UUID
    seq: int
    role: str
    content: list[Any]
    model: str | None
    stop_reason: str | None
    usage: dict[str, Any] | None
    cost_usd: UsdOut | None
    request_id: str | None
    created_at: datetime


class ToolCallRead(Line):
    """One tool call: what the model asked for, what was decided, what came of it.

    `input` is text where the model sent no JSON.
    """

    id: UUID
    execution_id: UUID
    turn: int
    position: int
    tool_use_id: str
    name: str
    input: Any
    approved_input: Any
    input_sha256: str
    effect: str
    status: str
    reason: str | None
    output: str | None
    is_error: bool
    output_artifact_id: UUID | None
    child_execution_id: UUID | None
    wakes_at: datetime | None
    superseded_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class ModelCallRead(Line):
    """One try of one model call."""

    id: UUID
    execution_id: UUID
    turn: int
    try_number: int
    status: str
    model: str
    max_tokens: int
    stop_reason: str | None
    stop_details: dict[str, Any] | None
    usage: dict[str, Any] | None
    usage_estimated: bool
    cost_usd: UsdOut | None
    error_kind: str | None
    error_message: str | None
    http_status: int | None
    request_id: str | None
    first_token_ms: int | None
    superseded_at: datetime | None
    started_at: datetime
    completed_at: datetime | None
