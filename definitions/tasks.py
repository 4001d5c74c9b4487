"""The versioned part of a task, which an execution pins.

The gateway validates it, `task_versions.definition` stores it as JSON, the worker reads it back.
Old stored definitions must still parse: add fields with defaults, never rename one.
"""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from definitions.memory import Namespace
from domain.executions.limits import DEFAULT_MAX_TURNS, Limits
from domain.memory.entries import MAX_TASK_NAMESPACES, GrantMode, MemoryAccess, NamespaceAccess
from domain.people.requests import InputPolicy
from domain.rules.permissions import Permissions
from domain.tools.requirements import ToolResource, list_given_resources
from domain.web.network import (
    MAX_ENTRIES,
    MAX_ENTRY_CHARACTERS,
    NO_NETWORK,
    NetworkList,
    parse_entry,
)

PermissionMode = Literal["default", "acceptEdits", "plan", "bypassPermissions"]
ReportFormat = Literal["html", "pdf", "json", "markdown"]
Effort = Literal["low", "medium", "high", "xhigh", "max"]


def as_number(value: Any) -> Decimal:
    """Convert a JSON number exactly. Refuse a string, which pydantic would convert too."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("Write a number.")  # noqa: TRY004 - what pydantic turns into a problem
    return Decimal(str(value))


Usd = Annotated[
    Decimal,
    Field(gt=0, max_digits=18, decimal_places=6),
    BeforeValidator(as_number, json_schema_input_type=Annotated[float, Field(gt=0)]),
    PlainSerializer(float, return_type=float, when_used="json"),
]
"""A limit in USD; a number in JSON."""
ExpiryRule = Literal["fail", "deny", "default", "escalate", "wait"]
UnknownEffectRule = Literal["auto", "ask", "tell_model", "fail"]


class DefinitionModel(BaseModel):
    """Base of all definitions: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SdkOptions(DefinitionModel):
    """Options of model calls. For an omitted option, the default applies."""

    model: str | None = Field(default=None, min_length=1, max_length=200)
    max_turns: int | None = Field(default=None, ge=1, le=10_000)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    temperature: float | None = Field(default=None, ge=0, le=1)
    thinking: dict[str, Any] | None = None
    effort: Effort | None = None
    permission_mode: PermissionMode = "default"
    mcp_servers: dict[str, Any] = Field(default_factory=dict)
    max_budget_usd: Usd | None = None
    timeout_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    segment_turns: int | None = Field(default=None, ge=1, le=10_000)
    output_schema: dict[str, Any] | None = None
    compaction_tokens: int | None = Field(
        default=None,
        ge=50_000,
        le=1_000_000,
        description="From this size of a prompt on, the API replaces the conversation so far by a "
        "summary. Null: never. The model must support compaction.",
    )


class HumanInputPolicy(DefinitionModel):
    """What happens when a person is needed: wait, deny, or fail."""

    mode: Literal["wait", "deny", "fail"] = "wait"
    due_seconds: float | None = Field(default=None, gt=0, le=31_536_000)
    on_expiry: ExpiryRule = "fail"
    default_answer: Any = None
    assignee: Annotated[
        str | None, Field(description="A user (the `sub` of a token), or a group: `group:legal`.")
    ] = None
    remind_after_seconds: Annotated[
        tuple[Annotated[float, Field(gt=0, le=31_536_000)], ...],
        Field(max_length=10, description="When an open request is recalled, after it was opened."),
    ] = ()
    escalate_to: Annotated[
        str | None, Field(description="Who gets a request that is past due, with `escalate`.")
    ] = None
    on_escalation_expiry: Annotated[
        Literal["fail", "deny", "default", "wait"],
        Field(description="What happens when an escalated request is past due again."),
    ] = "wait"
    approvals_required: Annotated[
        int, Field(ge=1, le=20, description="How many people must approve a tool call.")
    ] = 1
    starter_may_not_approve: Annotated[
        bool, Field(description="Whether another person than the starter must approve.")
    ] = False
    recheck_tools: Annotated[
        tuple[str, ...],
        Field(
            max_length=100,
            description="Tool rules. If an approval of such a call comes after an hour, a new "
            "message, an edit of the task or another call that may have changed something, the "
            "model is asked again before the call runs.",
        ),
    ] = ()
    on_unknown_effect: UnknownEffectRule = "auto"
    """What happens to a tool call that a crash interrupted and that may have had an effect."""


NetworkText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ENTRY_CHARACTERS),
    AfterValidator(lambda text: str(parse_entry(text))),
]
"""An entry of a network list, in the form in which it is stored (`domain.web.network`)."""


class NetworkPolicy(DefinitionModel):
    """Which hosts the tools may connect to, within what the operator allows."""

    allow: Annotated[
        tuple[NetworkText, ...],
        Field(
            max_length=MAX_ENTRIES,
            description="`api.example.com`, `*.example.org` (its subdomains only), `*` (every "
            "host), an address or a network, each with or without a port: "
            "`git.example.com:22`. Without a port, an entry opens ports 80 and 443.",
            examples=[["api.example.com", "*.example.org:443", "git.example.com:22"]],
        ),
    ] = ()

    def parse(self) -> NetworkList:
        """The entries, for checks."""
        return NetworkList.parse(self.allow)


NETWORK_DESCRIPTION = (
    "The hosts that the tools may connect to, through a proxy. Null: no network. The operator's "
    "setting PERDURE_NETWORK_ALLOW must contain them."
)


class TaskNamespace(DefinitionModel):
    """A namespace of the memory, with those below it. `write` includes reading."""

    namespace: Namespace
    mode: GrantMode = "read"


class MemoryPolicy(DefinitionModel):
    """Which namespaces of the user's memory the tools may use."""

    namespaces: Annotated[
        tuple[TaskNamespace, ...],
        Field(
            max_length=MAX_TASK_NAMESPACES,
            description="Namespaces of the user who runs the task. Each includes those below it: "
            "`project:x` includes `project:x:decisions`.",
            examples=[[{"namespace": "project:x", "mode": "write"}]],
        ),
    ] = ()


MEMORY_DESCRIPTION = (
    "The namespaces of the user's memory that the memory tools may read or write. Null: none."
)


class TaskDefinition(DefinitionModel):
    """One version of a task."""

    prompt_template: str = Field(min_length=1)
    variables_schema: dict[str, Any] | None = None
    default_variables: dict[str, Any] = Field(default_factory=dict)
    system_prompt: str | None = None
    agent_id: str | None = None
    allowed_tools: tuple[str, ...] = ()
    ask_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    sdk_options: SdkOptions = Field(default_factory=SdkOptions)
    working_directory_path: str | None = None
    network: NetworkPolicy | None = Field(default=None, description=NETWORK_DESCRIPTION)
    memory: MemoryPolicy | None = Field(default=None, description=MEMORY_DESCRIPTION)
    generate_report: bool = False
    report_format: ReportFormat | None = None
    notification_config: dict[str, Any] | None = None
    human_input_policy: HumanInputPolicy = Field(default_factory=HumanInputPolicy)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON to store. Options that were not sent stay absent: our defaults apply."""
        values = self.model_dump(mode="json", include=_FIELDS)
        for field in ("sdk_options", "human_input_policy"):
            values[field] = getattr(self, field).model_dump(mode="json", exclude_unset=True)
        return values

    @property
    def permissions(self) -> Permissions:
        """The rules for tools."""
        return Permissions(
            allowed=self.allowed_tools,
            ask=self.ask_tools,
            disallowed=self.disallowed_tools,
            mode=self.sdk_options.permission_mode,
        )

    @property
    def allowed_network(self) -> NetworkList:
        """The hosts that its tools may connect to, if the operator allows them."""
        return self.network.parse() if self.network else NO_NETWORK

    @property
    def memory_access(self) -> MemoryAccess:
        """The namespaces that its tools may use."""
        given = self.memory.namespaces if self.memory else ()
        return MemoryAccess(tuple(NamespaceAccess(n.namespace, n.mode) for n in given))

    @property
    def resources(self) -> Collection[ToolResource]:
        """What its tools have, if the operator allows it."""
        return list_given_resources(network=self.allowed_network, memory=self.memory_access)

    @property
    def input_policy(self) -> InputPolicy:
        """The policy for input requests."""
        return InputPolicy(**self.human_input_policy.model_dump())

    def limits(self, *, deadline_at: datetime | None) -> Limits:
        """The limits of an execution, except its budget (`domain/executions/budgets.py`)."""
        options = self.sdk_options
        return Limits(
            max_turns=options.max_turns or DEFAULT_MAX_TURNS,
            timeout_seconds=options.timeout_seconds,
            deadline_at=deadline_at,
            segment_turns=options.segment_turns,
        )


_FIELDS = set(TaskDefinition.model_fields)
"""The fields that `to_json` keeps of a subclass with more fields, such as a whole task."""
