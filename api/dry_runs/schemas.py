"""Request and response bodies of dry runs."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.definitions import PermissionMode, Usd
from domain.offers import OfferRule
from services.field_types import Body, Read, UsdOut, Variables


class DryRunBody(Body):
    """The parameters of the execution."""

    variables: Variables = Field(default_factory=dict)
    strict_variables: bool = False
    max_budget_usd: Usd | None = None


class Part(BaseModel):
    """Base class of parts of the result."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class OfferRead(Part):
    """A tool that the model would have, with its rules.

    `allowed`: every call runs. `ask`: every call needs approval. `by_pattern`: the patterns decide;
    a call that no pattern allows needs approval.
    """

    tool: str
    rule: OfferRule
    allowed: tuple[str, ...]
    ask: tuple[str, ...]
    disallowed: tuple[str, ...]


class SpreadRead(Part):
    """The median and the 90th percentile of past executions."""

    median: float
    p90: float


class ForecastRead(Part):
    """Statistics of your latest completed executions of the task (at most 100), or null."""

    executions: Annotated[int, Field(description="The number of past executions.")]
    cost_usd: SpreadRead | None = None
    input_tokens: Annotated[
        SpreadRead | None,
        Field(description="Includes tokens that were read from and written to the cache."),
    ] = None
    output_tokens: SpreadRead | None = None
    turns: SpreadRead | None = None
    duration_seconds: Annotated[
        SpreadRead | None,
        Field(description="From start to end, including the time spent waiting for people."),
    ] = None


class DryRunRead(Read):
    """The result of a dry run. Nothing was started or stored."""

    task_id: UUID
    task_version: int
    rendered_prompt: str
    missing_variables: list[str]
    system_prompt: Annotated[
        str | None,
        Field(description="The system prompt of the agent, followed by that of the task."),
    ]
    agent_id: str | None
    model: str
    model_is_priced: bool
    permission_mode: PermissionMode
    tools: list[OfferRead]
    budget_usd: UsdOut | None
    forecast: ForecastRead
    warnings: Annotated[list[str], Field(description="Problems that are likely to occur.")]
