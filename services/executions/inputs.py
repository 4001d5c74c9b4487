"""What the services of executions and sessions take: validated by the same models everywhere."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.definitions import HumanInputPolicy, ReportFormat, SdkOptions, Usd
from domain.schedules import OverlapPolicy
from domain.states import ExecutionStatus
from services.definitions.inputs import AgentId, Name, Path, Prompt, Tags, Tools
from services.field_types import Body, Moment, Text, Variables

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


class AnswerBody(Body):
    """An answer.

    To an approval: `decision`, with `edit` the edited `input`. To a question: `values` where it has
    a schema or options (`{"answer": "one of the options"}` will do), else a `message`.
    """

    decision: Literal["approve", "deny", "edit"] | None = None
    input: dict[str, Any] | None = None
    message: Text | None = None
    remember: Literal["once", "execution", "task"] | None = None
    values: Any = None
    input_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class SessionCreate(Body):
    """A new conversation: with an agent, whose tools it has, or with the model alone."""

    agent_id: AgentId | None = None
    title: Name | None = None
    sdk_options: SdkOptions = Field(default_factory=SdkOptions)


class SessionUpdate(Body):
    """Changes to a conversation."""

    title: Name | None


class SessionWork(Body):
    """Work for an agent in a conversation; `parent_task_id` is an execution of it."""

    agent_id: AgentId
    input: Prompt
    parent_task_id: UUID | None = None


class BackfillBody(Body):
    """Which fires to make up for; both ends belong to the span, and lie in the past."""

    start_at: Moment
    end_at: Moment
    overlap_policy: OverlapPolicy = Field(
        default="buffer_all", description="One after the other, unless you say otherwise."
    )
