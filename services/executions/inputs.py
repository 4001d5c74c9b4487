"""Input models of the services for executions, sessions and schedules."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from definitions.tasks import (
    MEMORY_DESCRIPTION,
    NETWORK_DESCRIPTION,
    HumanInputPolicy,
    MemoryPolicy,
    NetworkPolicy,
    ReportFormat,
    SdkOptions,
    Usd,
)
from domain.executions.priority import WorkSource
from domain.executions.states import ExecutionStatus
from domain.schedules.schedule import OverlapPolicy
from services.definitions.inputs import AgentId, Name, Path, Prompt, Tags, Tools
from services.field_types import Body, Moment, Text, Variables

HIGHEST_PRIORITY = 10

MOST_PREREQUISITES = 100
"""Prerequisites per execution (chosen: they are locked while it is stored)."""

LONGEST_SUMMARY = 200
"""Characters (chosen)."""

LONGEST_ESTIMATE = 10 * 365 * 24 * 3600.0
"""Seconds: as far as deadlines reach (chosen)."""

LATEST_TURN = 10_000
"""More than the maximum of `max_turns`."""

MOST_AT_ONCE = 1_000
"""Executions that one request can change (chosen: takes some seconds)."""
Priority = Annotated[int, Field(ge=0, le=HIGHEST_PRIORITY)]
Estimate = Annotated[float, Field(gt=0, le=LONGEST_ESTIMATE, allow_inf_nan=False)]
Decision = Literal["approve", "deny", "edit", "finish", "happened", "not_happened", "skip"]
"""The decisions of all kinds of requests (`domain.people.answers.DECISIONS`)."""

Remember = Literal["once", "execution", "task"]
RememberPattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1_000,
        description="A tool rule that covers the call of the request, such as "
        "`bash(git status *)`. Without one, only the same input is covered.",
    ),
]
RememberUntil = Annotated[
    Moment,
    Field(
        description="When the remembered decision expires: at most a year from now. The default "
        "for a task is 90 days from now; for an execution, its end."
    ),
]

Word = Annotated[str, Field(max_length=200)]
TriggerType = Literal[
    "manual", "api", "scheduled", "webhook", "mcp", "cli", "subtask", "retry", "fork", "plan"
]


class Narrowing(BaseModel):
    """Filters for executions. `created_from` is inclusive, `created_to` is exclusive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: tuple[ExecutionStatus, ...] = ()
    task_id: UUID | None = None
    agent_id: Word | None = None
    trigger_type: TriggerType | None = None
    tag: Word | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None


class BulkBody(Body):
    """The executions that match `filter`, oldest first, or those in `ids`."""

    filter: Narrowing | None = None
    ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MOST_AT_ONCE)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE
    dry_run: bool = False

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        if (self.filter is None) == (self.ids is None):
            raise ValueError("Send either a filter or ids.")
        if self.filter is not None and not any(dict(self.filter).values()):
            raise ValueError("An empty filter would match all executions; set at least one field.")
        return self


class BulkCancelBody(BulkBody):
    """The executions to cancel, and the reason."""

    reason: Text | None = None


class ExecuteBody(Body):
    """The parameters of an execution."""

    variables: Variables = Field(default_factory=dict)
    strict_variables: bool = False
    priority: Priority = 5
    trigger_metadata: Variables = Field(default_factory=dict)
    session_id: UUID | None = None
    max_budget_usd: Usd | None = None
    deadline_at: Moment | None = None
    prerequisites: Annotated[list[UUID], Field(max_length=MOST_PREREQUISITES)] = Field(
        default_factory=list
    )
    """Your executions that must complete before this one starts."""


class QueueFields(BaseModel):
    """Fields that only external work has."""

    summary: Annotated[
        str | None,
        Field(max_length=LONGEST_SUMMARY, description="What the work is about, for lists."),
    ] = None
    source: Annotated[
        WorkSource | None,
        Field(description="Who asks for the work; a person, if it is left out."),
    ] = None
    estimated_duration_seconds: Annotated[
        Estimate | None, Field(description="How long the work takes.")
    ] = None
    input_data: Annotated[
        Variables | None, Field(description="JSON that the worker gets beside the prompt.")
    ] = None


class WorkBody(ExecuteBody, QueueFields):
    """An ad-hoc execution without a task.

    `prompt` is sent unchanged; with `variables` it is a template. The default of `allowed_tools` is
    the tools of the agent.
    """

    title: Name | None = None
    prompt: Prompt
    parent_execution_id: Annotated[
        UUID | None, Field(description="Your unfinished execution that this is a part of.")
    ] = None
    agent_id: AgentId | None = None
    executor: Literal["claude", "external"] | None = None
    system_prompt: str | None = None
    allowed_tools: Tools | None = None
    ask_tools: Tools = ()
    disallowed_tools: Tools = ()
    sdk_options: SdkOptions = Field(default_factory=SdkOptions)
    working_directory_path: Path | None = None
    network: Annotated[
        NetworkPolicy | None,
        Field(description=f"{NETWORK_DESCRIPTION} The default is that of the agent."),
    ] = None
    memory: Annotated[MemoryPolicy | None, Field(description=MEMORY_DESCRIPTION)] = None
    generate_report: bool = False
    report_format: ReportFormat | None = None
    notification_config: dict[str, Any] | None = None
    human_input_policy: HumanInputPolicy = Field(default_factory=HumanInputPolicy)
    tags: Tags = ()


class DryRunBody(Body):
    """The input of a dry run, as for an execution."""

    variables: Variables = Field(default_factory=dict)
    strict_variables: bool = False
    max_budget_usd: Usd | None = None


class RetryBody(Body):
    """The parameters that differ from the first execution."""

    variables: Variables | None = None
    max_budget_usd: Usd | None = None


class ForkBody(Body):
    """The turn at which to fork an execution, and the changes.

    `at_turn` 0 means before the first model call: the prompt is rendered again. For later turns,
    `prompt` is a new message after the shared part.
    """

    at_turn: Annotated[int, Field(ge=0, le=LATEST_TURN)]
    variables: Variables | None = None
    model: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    prompt: Prompt | None = None


class MessageBody(Body):
    """A message from a user."""

    content: Prompt
    interrupt: Annotated[
        bool,
        Field(
            description="Stop the model call or the tool calls in progress, so that the model "
            "reads the message now. Without it, the model reads it after the current step."
        ),
    ] = False


class CancelBody(Body):
    """The reason for a cancellation."""

    reason: Text | None = None


class FinishBody(Body):
    """What the model should know when it answers early."""

    message: Text | None = None


UndoSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=60,
        description="The answer takes effect after this time; until then its author can withdraw "
        "it. Not for budgets and plans.",
    ),
]


class AnswerBody(Body):
    """An answer.

    For an approval, send `decision`; with `edit`, also the edited `input`. For an effect check, the
    decision is `happened`, `not_happened` or `skip`. For a budget, send `approve` with the new
    `values.max_budget_usd`, `finish` to complete the execution with its last answer, or `deny`. For
    a question with a schema or options, send `values` (for example
    `{"answer": "one of the options"}`), otherwise a `message`.

    `remember` stores a rule: later calls of the same tool in this execution, or in executions of
    its task by the same user, are decided in the same way without a request. The rule covers the
    same input only, or with a `remember_pattern` such as `bash(git status *)` the inputs that the
    pattern covers. It can be revoked at any time.
    """

    decision: Decision | None = None
    input: dict[str, Any] | None = None
    message: Text | None = None
    undo_seconds: UndoSeconds = 0
    remember: Remember | None = None
    remember_pattern: RememberPattern | None = None
    remember_until: RememberUntil | None = None
    values: Any = None
    input_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class SessionCreate(Body):
    """A new session, with an agent and its tools, or with the model only."""

    agent_id: Annotated[
        AgentId | None,
        Field(
            description="Null: the model answers without an agent. If it is left out, the "
            "capabilities of the agents and the first message decide."
        ),
    ] = None
    title: Name | None = None
    sdk_options: SdkOptions = Field(default_factory=SdkOptions)


class SessionUpdate(Body):
    """Changes to a session. Omitted fields do not change; null removes the title or the agent."""

    title: Name | None = None
    agent_id: Annotated[
        AgentId | None, Field(description="The agent of the next turns, or null for none.")
    ] = None


class SessionWork(Body):
    """Work for an agent in a session; `parent_task_id` is an execution of the session.

    `input` is a text, or an object, which the agent receives as JSON.
    """

    agent_id: AgentId
    input: Prompt | Annotated[dict[str, Any], Field(min_length=1)]
    parent_task_id: UUID | None = None


class BackfillBody(Body):
    """The time range of a backfill; both ends are inclusive and must be in the past."""

    start_at: Moment
    end_at: Moment
    overlap_policy: OverlapPolicy = Field(
        default="buffer_all", description="The default is to start the runs one after the other."
    )
