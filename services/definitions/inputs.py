"""Input models of the services of definitions."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, SecretStr, StringConstraints, model_validator

from definitions.tasks import MemoryPolicy, NetworkPolicy, TaskDefinition
from domain.agents.agent import LONGEST_SLUG, SLUG, AgentExecutor
from domain.mcp.auth import Algorithm
from domain.schedules.schedule import OverlapPolicy
from domain.secrets import HOST, NAME
from domain.web.addresses import MAX_URL_LENGTH
from services.definitions.updates import partial_of
from services.field_types import Body, Text

Name = Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
Prompt = Annotated[str, Field(min_length=1, pattern=r"\S")]
Tag = Annotated[str, Field(min_length=1, max_length=64)]
Tags = Annotated[tuple[Tag, ...], Field(max_length=50)]
Tools = Annotated[tuple[str, ...], Field(max_length=200)]
AgentId = Annotated[str, Field(min_length=1, max_length=100)]
Path = Annotated[str, Field(min_length=1, max_length=4096)]

CatchUp = Annotated[int, Field(ge=10, le=604_800)]
"""Seconds: Temporal's minimum, and a maximum of a week (chosen)."""

Jitter = Annotated[int, Field(ge=0, le=86_400)]
"""Seconds: at most a day (chosen)."""

Retention = Annotated[int, Field(ge=60, le=3_153_600_000)]
"""Seconds: from a minute to a hundred years (chosen)."""

DEFINITION_FIELDS = frozenset(TaskDefinition.model_fields)
"""Versioned fields; the other fields belong to the task."""


class TaskBody(TaskDefinition):
    """All fields of a task except its name."""

    description: Text | None = None
    prompt_template: Prompt
    allowed_tools: Tools = ()
    ask_tools: Tools = ()
    disallowed_tools: Tools = ()
    agent_id: AgentId | None = None
    working_directory_path: Path | None = None
    tags: Tags = ()
    is_public: bool = False
    is_active: bool = True
    is_scheduled: bool = False
    schedule_cron: str | None = Field(default=None, max_length=200)
    schedule_timezone: str = Field(default="UTC", max_length=64)
    schedule_enabled: bool = False
    schedule_overlap_policy: OverlapPolicy = "skip"
    schedule_catchup_window_seconds: CatchUp | None = None
    schedule_jitter_seconds: Jitter | None = None
    artifact_retention_seconds: Annotated[
        Retention | None,
        Field(
            description="How long the artifacts of your executions of the task are kept after "
            "these have ended. Null: forever."
        ),
    ] = None

    @model_validator(mode="after")
    def _schedule_by_cron(self) -> Self:
        return enable_given_schedule(self)


SCHEDULE_FLAGS = ("is_scheduled", "schedule_enabled")

Given = TypeVar("Given", bound=BaseModel)


def enable_given_schedule(given: Given) -> Given:
    """The given fields; a `schedule_cron` without the two flags sets both."""
    is_alone = given.model_fields_set.isdisjoint(SCHEDULE_FLAGS)
    if not is_alone or getattr(given, "schedule_cron", None) is None:
        return given
    return given.model_copy(update=dict.fromkeys(SCHEDULE_FLAGS, True))


class TaskCreate(TaskBody):
    """A new task."""

    name: Name


@partial_of(TaskCreate)
class TaskUpdate(Body):
    """Changes to a task. Omitted fields do not change; other fields are replaced completely."""


MAX_PARAMETERS = 50


class Parameter(Body):
    """A placeholder that is replaced when a task is created; others remain variables."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\w+$")]
    description: Text | None = None
    default: Annotated[Any, Field(description="Without a default, the parameter is required.")] = (
        None
    )


Parameters = Annotated[tuple[Parameter, ...], Field(max_length=MAX_PARAMETERS)]


class TaskTemplateCreate(Body):
    """A new template: a task without a name, with parameters.

    Placeholders of parameters (`{{ name }}`) are replaced in prompt_template, system_prompt and
    description.
    """

    name: Name
    description: Text | None = None
    is_public: bool = False
    parameters: Parameters = ()
    task: TaskBody


@partial_of(TaskTemplateCreate)
class TaskTemplateUpdate(Body):
    """Changes to a template; `task` and `parameters` are replaced completely."""


class TaskFromTemplate(Body):
    """A task to create: values of the parameters, and fields that differ from the template."""

    name: Name
    parameters: dict[str, Any] = Field(default_factory=dict)
    overrides: TaskUpdate = TaskUpdate()


Slug = Annotated[str, Field(min_length=1, max_length=LONGEST_SLUG, pattern=SLUG)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
Capabilities = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=50)
]

MAX_FILE_CHARACTERS = 200_000
"""Of the file of an agent (chosen: the longest in public collections have about 30,000)."""


class AgentCreate(Body):
    """A new agent. Its tools are for ad-hoc work; a task with this agent has tools of its own."""

    agent_id: Slug
    name: Name
    description: Text = ""
    system_prompt: Prompt
    model: Model | None = None
    allowed_tools: Tools = ()
    network: Annotated[
        NetworkPolicy | None,
        Field(
            description="The hosts that ad-hoc work of the agent may connect to. A subtask that "
            "names the agent may connect only to those of them that its parent may connect to; "
            "with null, to all that its parent may."
        ),
    ] = None
    memory: Annotated[
        MemoryPolicy | None,
        Field(
            description="The namespaces of the memory that ad-hoc work of the agent may use. A "
            "subtask that names the agent may use only what its parent may use, too; with null, "
            "all that its parent may."
        ),
    ] = None
    executor: AgentExecutor = "claude"
    capabilities: Capabilities = ()
    tags: Tags = ()


@partial_of(AgentCreate, without={"agent_id"})
class AgentUpdate(Body):
    """Changes to an agent. Omitted fields do not change; other fields are replaced completely."""


class AgentImport(Body):
    """An agent file: Markdown with front matter, the format of coding agents."""

    markdown: Annotated[str, Field(min_length=1, max_length=MAX_FILE_CHARACTERS)]
    replace: Annotated[
        bool, Field(description="If an agent with this name exists, replace it.")
    ] = False


class ToolGroupCreate(Body):
    """A new list of tool rules. Tasks name it as `group:NAME` in their lists of tools."""

    name: Slug
    description: Text | None = None
    tools: Tools


@partial_of(ToolGroupCreate)
class ToolGroupUpdate(Body):
    """Changes to a group; a task uses them after its lists of tools are written again."""


MAX_VALUES = 50
MAX_VALUE_CHARACTERS = 8_192
"""Of a header or variable: the usual limit of web servers for a header."""

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)]
Command = Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"\S")]
Arguments = Annotated[
    tuple[Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS)], ...], Field(max_length=100)
]
HeaderValue = Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS, pattern=r"^[\x20-\x7e]*$")]
Value = Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS)]
HeaderName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
VariableName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=MAX_VALUES)]
EnvironmentVariables = Annotated[dict[VariableName, Value], Field(max_length=MAX_VALUES)]


class McpAuth(Body):
    """How Perdure gets access tokens for a server: as a client of its authorization server.

    The grant is client credentials. The client proves itself with its secret, or signs assertions
    with its private key (RFC 7523). The authorization server is found by the MCP server's metadata.
    """

    type: Literal["client_credentials", "private_key_jwt"]
    client_id: Annotated[str, Field(min_length=1, max_length=1_024, pattern=r"^[!-~ ]+$")]
    secret: Annotated[
        str,
        Field(
            max_length=100,
            description="The client's secret or its private key (PEM), as `secret://name`. It must "
            "be allowed for the host of the token endpoint.",
        ),
    ]
    issuer: Annotated[
        Url | None,
        Field(description="The only authorization server to use; by default, as the server says."),
    ] = None
    scope: Annotated[
        str | None,
        Field(
            max_length=1_024,
            pattern=r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$",
            description="By default, what the server asks for.",
        ),
    ] = None
    algorithm: Annotated[Algorithm, Field(description="Of signatures with a private key.")] = (
        "RS256"
    )


class McpConnection(Body):
    """How an MCP server is reached: by its URL, or by a command (admins only)."""

    type: Annotated[
        str | None,
        Field(
            max_length=100,
            exclude=True,
            description="The transport, as other programs write it: `http` or `stdio`. Not stored.",
        ),
    ] = None
    description: Text | None = None
    url: Url | None = None
    command: Command | None = None
    args: Arguments = ()
    headers: Headers = Field(default_factory=dict)
    env: EnvironmentVariables = Field(default_factory=dict)
    auth: McpAuth | None = None


class McpServerCreate(McpConnection):
    """An MCP server, by its URL or by a command (admins only).

    Use references as values of `headers` and `env` (`secret://name`, `Bearer secret://name`). Other
    values are stored encrypted and never shown again.
    """

    name: Slug
    is_public: Annotated[
        bool, Field(description="Whether the tasks of all users can name it; admins only.")
    ] = False
    is_trusted: Annotated[
        bool,
        Field(
            description="Whether its tools are what their annotations say: one with `readOnlyHint` "
            "or `idempotentHint` is repeated after a crash without asking; admins only."
        ),
    ] = False


@partial_of(McpServerCreate)
class McpServerUpdate(Body):
    """Changes to a server. A masked value that you send back does not change."""


class HookCreate(Body):
    """A new hook. The name is only a label."""

    name: Name | None = None


SecretName = Annotated[
    str, Field(pattern=rf"^{NAME}$", description="Lowercase letters, digits, `_`, `.` and `-`.")
]
Host = Annotated[str, StringConstraints(max_length=255, pattern=rf"^{HOST}$")]
Tool = Annotated[str, StringConstraints(min_length=1, max_length=255)]


class SecretPut(Body):
    """The value of a secret, and where it may be used: nowhere else."""

    value: Annotated[SecretStr, Field(min_length=1, max_length=16_384)]
    hosts: Annotated[
        tuple[Host, ...],
        Field(
            max_length=50,
            description="Hosts that it may be sent to; `*.example.com` means every subdomain.",
        ),
    ] = ()
    tools: Annotated[
        tuple[Tool, ...], Field(max_length=50, description="Tools that may receive it.")
    ] = ()
