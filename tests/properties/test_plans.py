"""Plans over random graphs, with crashes before and after each commit of their workflow.

Each step ends as the graph says: it is completed if the steps before it are and it succeeds itself.
No step starts before its prerequisites, every one gets exactly one execution.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from composition import compose_services
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.db import locks
from persistence.db.database import Database
from persistence.executions import cascade, lifecycle
from persistence.executions.fencing import RunIdentity
from persistence.identity import users
from persistence.ledger.audit import Actor
from persistence.plans import plans
from persistence.plans.plans import LoadedPlan
from runtime.outbound import Outbound
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.temporal import connect
from services.caller import Caller
from services.plans import advancing, starting
from services.plans import plans as plan_service
from services.plans.inputs import PlanCreate
from services.unit_of_work import Services

Dependencies = Mapping[str, Sequence[str]]


@st.composite
def graphs(draw: st.DrawFn) -> Dependencies:
    """Up to nine steps; each needs some of those before it."""
    keys = [f"s{number}" for number in range(draw(st.integers(1, 9)))]
    subsets = [
        st.lists(st.sampled_from(keys[:n]), unique=True, max_size=3) for n in range(1, len(keys))
    ]
    return dict(zip(keys, [[], *(draw(subset) for subset in subsets)], strict=True))


@dataclass(slots=True)
class CrashingWorkflow:
    """What the workflow of a plan does, with its crashes: it forgets what it did not commit."""

    database: Database
    plan_id: UUID
    execution_id: UUID
    segment: int = 0
    run_id: str = "run-0"

    async def advance(self, crash: str) -> advancing.Advance | None:
        """Call `advance` once. None: the result was lost in a crash."""
        if crash == "another run":
            self.run_id, self.segment = f"run-{new_id()}", 0
        self.segment += 1
        for is_repeat in (False, True) if crash in {"before", "after"} else (True,):
            async with self.database.transaction(keep=is_repeat or crash == "after") as session:
                found = await advancing.advance(session, self.execution_id, self._identity())
        return found

    def _identity(self) -> RunIdentity:
        return RunIdentity(
            workflow_id=f"execution-{self.execution_id}",
            run_id=self.run_id,
            segment=self.segment,
            attempt=1,
            last_message_seq=0,
            is_reset=False,
        )


class Steps:
    """The executions of the steps, run by this test in place of their workflows."""

    def __init__(self, database: Database, failing: set[str]) -> None:
        self.database = database
        self.failing = failing
        self.running: dict[UUID, str] = {}
        self.started: list[str] = []

    async def start(self, plan: LoadedPlan, ids: Sequence[UUID]) -> None:
        """Start executions as their workflows do; a second start of one does nothing."""
        by_id = {step.execution_id: step for step in plan.steps}
        for execution_id in ids:
            step = by_id[execution_id]
            needed = {s.key: plan.state_of(s) for s in plan.steps if s.key in step.depends_on}
            assert all(
                state and state.status is ExecutionStatus.COMPLETED for state in needed.values()
            )
            run = RunIdentity(
                workflow_id=f"execution-{execution_id}",
                run_id=str(execution_id),
                segment=0,
                attempt=1,
                last_message_seq=0,
                is_reset=False,
            )
            if await lifecycle.start(self.database, execution_id, run):
                self.started.append(step.key)
                self.running[execution_id] = step.key

    async def end_one(self, chosen: int) -> None:
        """End one of those that run."""
        if not self.running:
            return
        execution_id = sorted(self.running)[chosen % len(self.running)]
        key = self.running.pop(execution_id)
        is_failing = key in self.failing
        status = ExecutionStatus.FAILED if is_failing else ExecutionStatus.COMPLETED
        async with self.database.transaction() as session:
            sessions = await locks.lock_for_end(session, execution_id, status)
            (ended,) = await lifecycle.end(session, {execution_id: None}, status)
            await cascade.end_dependents(session, ended, sessions=sessions)


def expected_ends(graph: Dependencies, failing: set[str]) -> dict[str, ExecutionStatus]:
    found: dict[str, ExecutionStatus] = {}
    for key, needed in graph.items():
        is_failed = key in failing or any(
            found[other] is ExecutionStatus.FAILED for other in needed
        )
        found[key] = ExecutionStatus.FAILED if is_failed else ExecutionStatus.COMPLETED
    return found


CRASHES = st.sampled_from(["none", "none", "before", "after", "another run"])


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plan, the steps that fail, and what happens at each turn: a crash, and which step ends."""

    graph: Dependencies
    failing: set[str]
    max_parallel: int | None
    turns: list[tuple[str, int]]


SCENARIOS = st.builds(
    Scenario,
    graph=graphs(),
    failing=st.sets(st.integers(0, 8).map("s{}".format), max_size=2),
    max_parallel=st.none() | st.integers(1, 3),
    turns=st.lists(st.tuples(CRASHES, st.integers(0, 8)), min_size=40, max_size=40),
)


EXAMPLES = settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
MANY_EXAMPLES = settings(EXAMPLES, max_examples=300)


@EXAMPLES
@given(scenario=SCENARIOS)
def test_every_plan_ends_as_its_graph_says(
    database_url: str, temporal_address: str, scenario: Scenario
) -> None:
    asyncio.run(_run(database_url, temporal_address, scenario))


@pytest.mark.long
@pytest.mark.timeout(3000)
@MANY_EXAMPLES
@given(scenario=SCENARIOS)
def test_many_plans_end_as_their_graphs_say(
    database_url: str, temporal_address: str, scenario: Scenario
) -> None:
    asyncio.run(_run(database_url, temporal_address, scenario))


async def _run(database_url: str, temporal_address: str, scenario: Scenario) -> None:
    database = Database.connect(database_url, pool_size=2)
    schemas = IsolatedEvaluator(is_metered=False)
    configured = Settings.model_validate(
        {"database_url": database_url, "temporal_address": temporal_address}
    )
    client = await connect(configured, lazy=True)
    services = compose_services(
        configured, database, client, Outbound(()), schemas, remembered_seconds=0
    )
    try:
        plan = await _start_plan(services, scenario.graph, scenario.max_parallel)
        workflow = CrashingWorkflow(database, plan.id, plan.run.id if plan.run else new_id())
        steps = Steps(database, scenario.failing)
        for crash, choice in scenario.turns:
            done = await workflow.advance(crash)
            plan = await _read(database, plan.id)
            if done is not None:
                await steps.start(plan, done.start_ids)
                if done.status.is_terminal:
                    break
            assert len(steps.running) <= (scenario.max_parallel or len(scenario.graph))
            await steps.end_one(choice)
        plan = await _read(database, plan.id)
        ends = {s.key: state.status for s in plan.steps if (state := plan.state_of(s))}
        assert ends == expected_ends(scenario.graph, scenario.failing)
        is_whole = set(ends.values()) == {ExecutionStatus.COMPLETED}
        assert plan.status == ("completed" if is_whole else "failed")
        assert len(steps.started) == len(set(steps.started))
    finally:
        await schemas.close()
        await database.close()


async def _start_plan(
    services: Services, graph: Dependencies, max_parallel: int | None
) -> LoadedPlan:
    async with services.database.transaction() as session:
        user = await users.find_or_create(session, f"user-{new_id()}", "user")
    caller = Caller(user_id=user.id, subject="user", actor=Actor(user.id))
    steps: list[dict[str, Any]] = [
        {"key": key, "prompt": "Work.", "depends_on": needed} for key, needed in graph.items()
    ]
    body = PlanCreate.model_validate({"title": "p", "steps": steps, "max_parallel": max_parallel})
    effects: list[Any] = []
    async with services.transaction(caller, effects=effects) as work:
        plan = await plan_service.create_plan(work, body)
    async with services.transaction(caller, effects=effects) as work:
        return await starting.start_plan(work, plan.id)


async def _read(database: Database, plan_id: UUID) -> LoadedPlan:
    async with database.reading() as session:
        row = await plans.find(session, plan_id)
        assert row is not None
        return await plans.load(session, row)
