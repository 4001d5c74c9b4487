"""Read the facts of a plan for its report: takes no lock and reads no long text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.report_facts import Excerpt
from domain.executions.states import ExecutionStatus
from domain.plans.facts import PlanFacts, PlanStepFacts
from domain.plans.plan import DRAFT, PlanGraph
from persistence.plans.plans import ExecutionState, LoadedPlan
from persistence.tables.plans import PlanStepRow

GOAL_CHARS = 4_000
"""Of the goal: a page and a half (chosen)."""

RESULT_CHARS = 2_000
"""Of the result of a step: half a page (chosen). Its execution has the whole."""

MOST_RESULTS = 100
"""Steps whose results are read, the last ones of the plan (chosen: 200 kB)."""

_RESULTS = text("""
SELECT e.id, left(e.result_data->>'text', :length) AS beginning,
    length(e.result_data->>'text') AS chars
FROM executions e
WHERE e.id = ANY(:ids) AND e.status = 'completed' AND e.result_data->>'text' IS NOT NULL
""")


async def read_plan_facts(session: AsyncSession, plan: LoadedPlan) -> PlanFacts:
    """All facts for a report of this plan, as they are now."""
    now: datetime = await session.scalar(select(func.clock_timestamp())) or plan.row.created_at
    graph = PlanGraph({step.key: tuple(step.depends_on) for step in plan.steps})
    ids = [step.execution_id for step in plan.steps if step.execution_id is not None]
    facts = _StepFacts(plan, graph, await _read_results(session, ids[-MOST_RESULTS:]))
    row, run = plan.row, plan.run
    return PlanFacts(
        plan_id=row.id,
        title=row.title,
        goal=None if row.goal is None else Excerpt.of(row.goal, GOAL_CHARS),
        status=plan.status,
        read_at=now,
        created_at=row.created_at,
        started_at=run.started_at if run else None,
        completed_at=run.completed_at if run else None,
        execution_id=row.execution_id,
        error_code=run.error_code if run else None,
        message=run.error_message if run else None,
        budget_usd=row.budget_usd,
        cost_usd=plan.cost_usd,
        is_scripted=plan.is_scripted,
        critical_path=tuple(graph.find_critical_path(facts.seconds)),
        steps=[facts.describe(step) for step in plan.steps],
    )


async def _read_results(session: AsyncSession, ids: Sequence[UUID]) -> Mapping[UUID, Excerpt]:
    found = await session.execute(_RESULTS, {"ids": list(ids), "length": RESULT_CHARS})
    return {row.id: Excerpt(text=row.beginning, chars=row.chars) for row in found}


@dataclass(frozen=True, slots=True)
class _StepFacts:
    plan: LoadedPlan
    graph: PlanGraph
    results: Mapping[UUID, Excerpt]

    @property
    def seconds(self) -> Mapping[str, float]:
        """The time that each completed step took."""
        states = ((step.key, self.plan.state_of(step)) for step in self.plan.steps)
        return {
            key: state.seconds
            for key, state in states
            if state and state.seconds is not None and state.status is ExecutionStatus.COMPLETED
        }

    def describe(self, step: PlanStepRow) -> PlanStepFacts:
        """A step with the state of its newest execution."""
        state = self.plan.state_of(step)
        has_result = step.execution_id is not None and step.execution_id in self.results
        return PlanStepFacts(
            key=step.key,
            title=step.title,
            state=DRAFT if state is None else state.status,
            batch=self.graph.batch_of[step.key],
            depends_on=tuple(step.depends_on),
            executor=(state.executor if state else step.executor) or "claude",
            agent_id=step.agent_id,
            execution_id=step.execution_id,
            started_at=state.started_at if state else None,
            completed_at=state.completed_at if state else None,
            duration_ms=_milliseconds(state),
            cost_usd=state.cost_usd if state else self.plan.cost_usd * 0,
            result=self.results[step.execution_id] if has_result and step.execution_id else None,
            error_code=state.error_code if state else None,
            error_message=state.error_message if state else None,
        )


def _milliseconds(state: ExecutionState | None) -> int | None:
    if state is None or state.seconds is None:
        return None
    return round(state.seconds * 1000)
