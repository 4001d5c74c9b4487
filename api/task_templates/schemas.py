"""Request and response bodies of task templates."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.http.field_types import Body, Read, Text
from api.tasks.schemas import Name, TaskBody, TaskUpdate

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


class TaskTemplateRead(Read):
    """A template; `task` is returned as it was sent."""

    id: UUID
    user_id: UUID
    name: str
    description: str | None
    is_public: bool
    parameters: list[dict[str, Any]]
    task: dict[str, Any]
    created_at: datetime
    updated_at: datetime
