"""Input models of the services for tasks and templates."""

from typing import Annotated, Any

from pydantic import Field

from contracts.definitions import HumanInputPolicy, ReportFormat, SdkOptions, TaskDefinition
from domain.schedules import OverlapPolicy
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
"""Seconds: a maximum of a day (chosen)."""

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


class TaskCreate(TaskBody):
    """A new task."""

    name: Name
    allowed_tools: Tools
    sdk_options: SdkOptions


class TaskUpdate(Body):
    """Changes to a task. Omitted fields do not change; other fields are replaced completely.

    The default None means "omitted"; the merged task decides whether null is valid.
    """

    name: Name | None = None
    description: Text | None = None
    prompt_template: Prompt | None = None
    variables_schema: dict[str, Any] | None = None
    default_variables: dict[str, Any] | None = None
    system_prompt: str | None = None
    agent_id: AgentId | None = None
    allowed_tools: Tools | None = None
    ask_tools: Tools | None = None
    disallowed_tools: Tools | None = None
    sdk_options: SdkOptions | None = None
    working_directory_path: Path | None = None
    generate_report: bool | None = None
    report_format: ReportFormat | None = None
    notification_config: dict[str, Any] | None = None
    human_input_policy: HumanInputPolicy | None = None
    tags: Tags | None = None
    is_public: bool | None = None
    is_active: bool | None = None
    is_scheduled: bool | None = None
    schedule_cron: str | None = Field(default=None, max_length=200)
    schedule_timezone: str | None = Field(default=None, max_length=64)
    schedule_enabled: bool | None = None
    schedule_overlap_policy: OverlapPolicy | None = None
    schedule_catchup_window_seconds: CatchUp | None = None
    schedule_jitter_seconds: Jitter | None = None


MOST_PARAMETERS = 50


class Parameter(Body):
    """A placeholder that is replaced when a task is created; others remain variables."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\w+$")]
    description: Text | None = None
    default: Annotated[Any, Field(description="Without a default, the parameter is required.")] = (
        None
    )


Parameters = Annotated[tuple[Parameter, ...], Field(max_length=MOST_PARAMETERS)]


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


class TaskTemplateUpdate(Body):
    """Changes to a template; `task` and `parameters` are replaced completely."""

    name: Name | None = None
    description: Text | None = None
    is_public: bool | None = None
    parameters: Parameters | None = None
    task: TaskBody | None = None


class TaskFromTemplate(Body):
    """A task to create: values of the parameters, and fields that differ from the template."""

    name: Name
    parameters: dict[str, Any] = Field(default_factory=dict)
    overrides: TaskUpdate = TaskUpdate()
