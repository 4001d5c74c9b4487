"""Dry runs: what an execution would be, without one."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.definitions import PermissionMode, Usd
from domain.offers import OfferRule
from services.field_types import Body, Read, UsdOut, Variables


class DryRunBody(Body):
    """What the execution would be started with."""

    variables: Variables = Field(default_factory=dict)
    strict_variables: bool = False
    max_budget_usd: Usd | None = None


class Part(BaseModel):
    """Base of what a dry run tells."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class OfferRead(Part):
    """A tool the model would get to see, with the rules that speak of it.

    `allowed`: every call runs. `ask`: a person is asked each time. `by_pattern`: as the patterns
    say; what none of them allows is asked.
    """

    tool: str
    rule: OfferRule
    allowed: tuple[str, ...]
    ask: tuple[str, ...]
    disallowed: tuple[str, ...]


class SpreadRead(Part):
    """What half of the past executions stayed within, and what nine of ten did."""

    median: float
    p90: float


class ForecastRead(Part):
    """From my latest completed executions of the task, 100 at most; null where there are none."""

    executions: Annotated[int, Field(description="How many it is made from.")]
    cost_usd: SpreadRead | None = None
    input_tokens: Annotated[
        SpreadRead | None, Field(description="Those read from and written to the cache too.")
    ] = None
    output_tokens: SpreadRead | None = None
    turns: SpreadRead | None = None
    duration_seconds: Annotated[
        SpreadRead | None, Field(description="From start to end, waits for people included.")
    ] = None


class DryRunRead(Read):
    """What the execution would be. Nothing was started, and nothing is kept."""

    task_id: UUID
    task_version: int
    rendered_prompt: str
    missing_variables: list[str]
    system_prompt: Annotated[str | None, Field(description="The agent's words, then the task's.")]
    agent_id: str | None
    model: str
    model_is_priced: bool
    permission_mode: PermissionMode
    tools: list[OfferRead]
    budget_usd: UsdOut | None
    forecast: ForecastRead
    warnings: Annotated[list[str], Field(description="What will probably not go as wished.")]
