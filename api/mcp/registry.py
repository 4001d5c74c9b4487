"""How a tool of the MCP server is declared. `api/mcp/__init__.py` shows an example."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from mcp.types import Tool, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from api.http.bodies import read_model
from api.mcp.context import ToolContext
from runtime.settings import McpGroup
from services.field_types import Body

Group = Literal["default", McpGroup]
"""Tools of the group `default` are always offered, the others if the client's URL names them."""

LONGEST_DESCRIPTION = 4_096
"""Characters. Claude Code cuts longer ones."""

MOST_CHARACTERS = 90_000
"""Of a result as JSON. Claude Code replaces more than 25,000 tokens, about 99,000 characters, by an
error that names a file, and more than 50,000 characters unless a tool says how many to show
(measured with 2.1.332)."""


class ToolArguments(Body):
    """Base of the arguments of a tool. `extra="forbid"` as in request bodies."""


class ToolResult(BaseModel):
    """Base of the results of a tool."""

    model_config = ConfigDict(frozen=True)

    next_step: Annotated[str, Field(description="What to do next.")]


A = TypeVar("A", bound=ToolArguments)
R = TypeVar("R", bound=ToolResult)


@dataclass(frozen=True, slots=True)
class StartedWork:
    """What a tool returns that has started an execution, after the commit."""

    execution_id: UUID
    wait: bool
    """Whether the caller wants the result of the execution, not only its id."""


@dataclass(frozen=True, kw_only=True)
class AgentTool(Generic[A, R]):
    """The declaration of one tool."""

    name: str
    group: Group
    title: str
    description: str
    """What it does, when to use it and what comes next: the model reads only this."""
    arguments: type[A]
    result: type[R]
    """Its JSON form is `structuredContent`. Fields with aliases are written by alias."""
    handler: Callable[[ToolContext, A], Awaitable[R | StartedWork]]
    """Returns `StartedWork` if `starts_work`, otherwise a result."""
    is_read_only: bool = False
    is_destructive: bool = False
    is_idempotent: bool = False
    """Whether the same call a second time changes nothing more."""
    is_open_world: bool = False
    """Whether it can reach beyond Perdure, as an execution with tools can."""
    starts_work: bool = False

    @cached_property
    def definition(self) -> Tool:
        """The tool as clients list it."""
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=_object_schema(self.arguments.model_json_schema(mode="validation")),
            output_schema=_object_schema(
                self.result.model_json_schema(mode="serialization", by_alias=True)
            ),
            annotations=ToolAnnotations(
                title=self.title,
                read_only_hint=self.is_read_only,
                destructive_hint=self.is_destructive,
                idempotent_hint=self.is_idempotent or self.is_read_only,
                open_world_hint=self.is_open_world,
            ),
            _meta={"anthropic/maxResultSizeChars": MOST_CHARACTERS},
        )

    def read_arguments(self, given: Mapping[str, Any]) -> A:
        """Validate the arguments as a request body is validated.

        Raises:
            InvalidInputError: they don't match the model; lists the invalid arguments.
        """
        return read_model(self.arguments, json.dumps(given).encode("ascii"), what="input")


class Catalogue:
    """All tools, in the order in which clients see them."""

    def __init__(self, tools: Sequence[AgentTool[Any, Any]]) -> None:
        """Names must be unique."""
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) < len(tools):
            raise ValueError("two tools have the same name")

    def list_tools(self, groups: frozenset[str]) -> Sequence[AgentTool[Any, Any]]:
        """The tools of these groups."""
        return [tool for tool in self._tools.values() if tool.group in groups]

    @property
    def groups(self) -> frozenset[str]:
        """The groups that have a tool."""
        return frozenset(tool.group for tool in self._tools.values())

    def find(self, name: str) -> AgentTool[Any, Any] | None:
        """The tool with this name, in any group."""
        return self._tools.get(name)


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose top level is an object: clients drop a server with any other.

    Docstrings of our models address developers, so the top level has no description.
    """
    if schema.get("type") != "object":
        raise ValueError("the schema of arguments and results must be an object")
    return {name: value for name, value in schema.items() if name not in {"description", "title"}}
