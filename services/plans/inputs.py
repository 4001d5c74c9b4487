"""Input models of the services of plans."""

from typing import Annotated

from pydantic import Field

from definitions.tasks import Usd
from domain.agents.agent import AgentExecutor
from domain.plans.plan import KEY, LONGEST_KEY, MOST_STEPS
from services.definitions.inputs import AgentId, Name, Prompt
from services.definitions.updates import partial_of
from services.field_types import Body, Text

MOST_GENERATED = 100
"""Steps that Claude may write (chosen: an answer of some 30,000 tokens)."""

MOST_OFFERED = 50
"""Agents that a request for a plan describes (chosen: a page of the prompt)."""

StepKey = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY, pattern=KEY)]


class PlanStepBody(Body):
    """A step: work for Claude, an agent or an outside worker.

    It starts when all steps in `depends_on` are completed. In `prompt`, `{{ steps.KEY.result }}` is
    the text of the result of a step that it depends on, directly or through others.
    """

    key: StepKey
    title: Name | None = None
    """Empty: the key."""
    prompt: Prompt
    agent_id: AgentId | None = None
    executor: AgentExecutor | None = None
    """Empty: the executor of the agent; without an agent, Claude."""
    depends_on: Annotated[tuple[StepKey, ...], Field(max_length=MOST_STEPS)] = ()
    budget_usd: Usd | None = None


class PlanCreate(Body):
    """A new plan. Its steps share `budget_usd`; at most `max_parallel` of them run at a time.

    External steps do not count there: workers can claim each one that is ready. With
    `approval_required`, a person approves the plan before its first step starts.
    """

    title: Name
    goal: Text | None = None
    steps: Annotated[list[PlanStepBody], Field(min_length=1, max_length=MOST_STEPS)]
    approval_required: bool = False
    budget_usd: Usd | None = None
    max_parallel: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None = None


@partial_of(PlanCreate)
class PlanUpdate(Body):
    """Changes to a plan. `steps` are replaced completely.

    Steps that run or are completed must stay as they are. New definitions of failed and cancelled
    steps apply when these are retried.
    """


class PlanGenerate(Body):
    """A goal for which Claude writes the steps of a plan, and what the plan is to be like.

    `agents` are those that may do the steps; the default is every agent of yours. `max_budget_usd`
    limits what writing the plan costs, `budget_usd` what the plan costs later.
    """

    goal: Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"\S")]
    title: Name | None = None
    """Empty: Claude writes it."""
    agents: Annotated[tuple[AgentId, ...], Field(min_length=1, max_length=MOST_OFFERED)] | None = (
        None
    )
    max_steps: Annotated[int, Field(ge=1, le=MOST_GENERATED)] = 20
    agent_id: AgentId = "planner"
    """Who writes the plan."""
    max_budget_usd: Usd | None = None
    approval_required: bool = True
    budget_usd: Usd | None = None
    max_parallel: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None = None
