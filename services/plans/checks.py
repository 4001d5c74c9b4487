"""Checks the steps of a plan, and makes the work of each: what its execution runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from domain import templates
from domain.agents.agent import Agent
from domain.errors import FieldProblem, InvalidInputError
from domain.model import pricing
from domain.plans.plan import INVALID, PlanGraph, StepNode, check_graph
from persistence.definitions import agents
from persistence.executions.creation import Work
from services.definitions import inline_work, task_rules
from services.definitions.warnings import model_warnings
from services.executions.inputs import WorkBody
from services.plans.inputs import PlanCreate, PlanStepBody
from services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class StepWork:
    """What the execution of a step runs, and what will probably go wrong."""

    work: Work
    warnings: Sequence[str]
    model: str | None
    """None: the step is external."""

    @property
    def unpriced_model(self) -> str | None:
        """The model of the step if its price is unknown."""
        return None if self.model is None or pricing.is_priced(self.model) else self.model


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """The graph of a valid plan, and the work of its steps by key."""

    graph: PlanGraph
    works: Mapping[str, StepWork]


async def check_plan(work: UnitOfWork, body: PlanCreate, *, owner_id: UUID) -> CheckedPlan:
    """Check that a plan can run: its graph, its agents and its budgets.

    Raises:
        InvalidInputError: with the location of each problem.
    """
    nodes = [StepNode(step.key, step.depends_on, step.prompt) for step in body.steps]
    graph = check_graph(nodes)
    by_agent: dict[str | None, _AgentWork] = {}
    works: dict[str, StepWork] = {}
    problems: list[FieldProblem] = []
    for position, step in enumerate(body.steps):
        if step.agent_id not in by_agent:
            by_agent[step.agent_id] = await _define_for_agent(work, step, position, owner_id)
        works[step.key] = by_agent[step.agent_id].of(step)
        problems += _step_problems(step, position, works[step.key])
    problems += _budget_problems(body, works.values())
    if problems:
        raise InvalidInputError(INVALID, problems)
    return CheckedPlan(graph, works)


@dataclass(frozen=True, slots=True)
class _AgentWork:
    """The work that the steps of one agent have in common."""

    work: Work
    model: str
    agent: Agent | None
    warnings: Sequence[str]

    def of(self, step: PlanStepBody) -> StepWork:
        definition = self.work.definition.model_copy(update={"prompt_template": step.prompt})
        executor = step.executor or (self.agent.executor if self.agent else "claude")
        title = step.title or step.key
        work = replace(self.work, definition=definition, title=title, executor=executor)
        if executor != "claude":
            return StepWork(work, (), None)
        return StepWork(work, self.warnings, self.model)


async def _define_for_agent(
    work: UnitOfWork, step: PlanStepBody, position: int, owner_id: UUID
) -> _AgentWork:
    """Check what the steps with the agent of this one have in common, once for all of them."""
    body = WorkBody(prompt=inline_work.VERBATIM, agent_id=step.agent_id)
    try:
        defined = await inline_work.define_work(work, body, owner_id=owner_id)
    except InvalidInputError as error:
        problems = [
            FieldProblem(("body", "steps", position, *p.loc[1:]), p.msg, p.type)
            for p in error.problems
        ]
        raise InvalidInputError(INVALID, problems) from error
    agent = await agents.find(work.session, owner_id, step.agent_id) if step.agent_id else None
    default_model = work.services.settings.default_model
    model = task_rules.choose_model(defined.definition, agent, default_model)
    return _AgentWork(defined, model, agent, model_warnings(work.services.models, model))


def _step_problems(step: PlanStepBody, position: int, defined: StepWork) -> Iterator[FieldProblem]:
    loc = ("body", "steps", position)
    if step.prompt.count("{{") > templates.MOST_PLACEHOLDERS:
        text = f"A prompt has at most {templates.MOST_PLACEHOLDERS:,} placeholders; use fewer."
        yield FieldProblem((*loc, "prompt"), text, "too_long")
    if step.budget_usd is not None and (model := defined.unpriced_model):
        yield task_rules.unpriced_problem((*loc, "budget_usd"), model)


def _budget_problems(body: PlanCreate, works: Iterable[StepWork]) -> Iterator[FieldProblem]:
    if body.budget_usd is not None:
        for model in sorted({w.unpriced_model for w in works if w.unpriced_model}):
            yield task_rules.unpriced_problem(("body", "budget_usd"), model)
