"""Plans: steps that depend on each other. The rules of their graph, and what it says of a run."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from uuid import UUID

from domain import templates
from domain.agents.agent import AgentExecutor
from domain.errors import ErrorCode, FieldProblem, InvalidInputError
from domain.executions.external_work import shorten
from domain.executions.states import ExecutionStatus
from domain.plans.graphs import order_in_batches

KEY = r"^[A-Za-z0-9_-]+$"
"""A key is a part of a placeholder, and of a path."""

LONGEST_KEY = 64

MOST_STEPS = 1_000
"""Steps of a plan (chosen: half of the child workflows that Temporal lets a workflow have)."""

MOST_DEPENDENCIES = 10_000
"""Dependencies of all steps of a plan (chosen: they are checked and stored in one request)."""

MOST_STARTS = 100
"""Steps that a plan's workflow starts at once, so that no request to Temporal is large (chosen)."""

MOST_RESULTS = 20
"""Results of last steps that the result of a plan contains (chosen)."""

DRAFT = "draft"
"""The status of a plan that was never started. A started one has that of its execution."""

NOT_COMPLETED = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
"""Ends of a step after which the steps that depend on it can't run."""

PLAN: Literal["plan"] = "plan"
"""The executor of the execution of a plan, whose subtasks are the executions of its steps."""

Executor = AgentExecutor | Literal["plan"]

STEP_TRIGGER = "plan"
"""The trigger type of the executions of steps. The workflow of their plan starts them."""

INVALID = "The plan is invalid; see errors."


@dataclass(frozen=True, slots=True)
class StepNode:
    """A step as a node of the graph: the keys of the steps that it needs, and its prompt."""

    key: str
    depends_on: Sequence[str]
    prompt: str


class PlanGraph:
    """The graph of a plan whose steps were checked (`check_graph`)."""

    def __init__(self, dependencies: Mapping[str, Sequence[str]]) -> None:
        """`dependencies` holds the keys that each step needs, in the order of the plan.

        Raises:
            InvalidInputError: the steps have a cycle.
        """
        self.dependencies = dependencies
        self.batches = order_in_batches(dependencies, field="steps")

    @property
    def max_parallelism(self) -> int:
        """The steps of the largest batch: as many could run at the same time."""
        return max(map(len, self.batches), default=0)

    @property
    def in_order(self) -> Iterator[str]:
        """The keys, each after those that it needs."""
        return (key for batch in self.batches for key in batch)

    @cached_property
    def batch_of(self) -> Mapping[str, int]:
        """The number of the batch of each key, from 0."""
        return {key: number for number, batch in enumerate(self.batches) for key in batch}

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """For each key all that it needs, directly or through others."""
        found: dict[str, frozenset[str]] = {}
        for key in self.in_order:
            needed = self.dependencies[key]
            found[key] = frozenset(needed).union(*(found[other] for other in needed))
        return found

    def dependents_of(self, keys: frozenset[str]) -> frozenset[str]:
        """All steps that need one of these, directly or through others; without these."""
        found: set[str] = set()
        for key in self.in_order:
            if not keys.union(found).isdisjoint(self.dependencies[key]):
                found.add(key)
        return frozenset(found) - keys

    def find_critical_path(self, seconds: Mapping[str, float]) -> Sequence[str]:
        """The chain of steps that takes longest. A step without an entry counts as the mean."""
        known = [value for value in seconds.values() if value > 0]
        default = sum(known) / len(known) if known else 1.0
        longest: dict[str, tuple[float, Sequence[str]]] = {}
        for key in self.in_order:
            before = max(
                (longest[k] for k in self.dependencies[key]), key=_length, default=(0.0, ())
            )
            longest[key] = (before[0] + seconds.get(key, default), (*before[1], key))
        return max(longest.values(), key=_length, default=(0.0, ()))[1]


def _length(path: tuple[float, Sequence[str]]) -> float:
    return path[0]


def check_graph(steps: Sequence[StepNode]) -> PlanGraph:
    """Check the keys, the dependencies and the placeholders of steps; return their graph.

    Raises:
        InvalidInputError: they are invalid; all problems of the same kind are listed.
    """
    for find_problems in (_key_problems, _dependency_problems):
        if problems := list(find_problems(steps)):
            raise InvalidInputError(INVALID, problems)
    graph = PlanGraph({step.key: tuple(dict.fromkeys(step.depends_on)) for step in steps})
    if problems := list(_placeholder_problems(steps, graph)):
        raise InvalidInputError(INVALID, problems)
    return graph


def _key_problems(steps: Sequence[StepNode]) -> Iterator[FieldProblem]:
    seen: set[str] = set()
    for position, step in enumerate(steps):
        if step.key in seen:
            text = f"Another step has the key {step.key!r}; give each step its own."
            yield FieldProblem(("body", "steps", position, "key"), text, "duplicate_key")
        seen.add(step.key)
    if sum(len(step.depends_on) for step in steps) > MOST_DEPENDENCIES:
        text = f"A plan can have at most {MOST_DEPENDENCIES} dependencies; remove some."
        yield FieldProblem(("body", "steps"), text, "too_long")


def _dependency_problems(steps: Sequence[StepNode]) -> Iterator[FieldProblem]:
    keys = {step.key: None for step in steps}
    for position, step in enumerate(steps):
        for index, other in enumerate(step.depends_on):
            loc = ("body", "steps", position, "depends_on", index)
            if other == step.key:
                yield FieldProblem(loc, "A step can't depend on itself; remove this.", "cycle")
            elif other not in keys:
                alike = difflib.get_close_matches(other, list(keys), 1)
                hint = f"Did you mean {alike[0]!r}?" if alike else "Add the step, or remove this."
                yield FieldProblem(loc, f"There is no step {other!r:.80}. {hint}", "unknown_step")


def _placeholder_problems(steps: Sequence[StepNode], graph: PlanGraph) -> Iterator[FieldProblem]:
    for position, step in enumerate(steps):
        loc = ("body", "steps", position, "prompt")
        for reference in templates.step_references(step.prompt):
            if reference.key is None:
                text = (
                    f"{reference.text} is not a result of a step; write {{{{ steps.KEY.result }}}}."
                )
                yield FieldProblem(loc, text, "unknown_placeholder")
            elif reference.key not in graph.dependencies:
                text = f"{reference.text}: there is no step {reference.key!r:.80}; correct the key."
                yield FieldProblem(loc, text, "unknown_step")
            elif reference.key not in graph.ancestors[step.key]:
                text = (
                    f"{reference.text}: step {step.key!r} does not depend on {reference.key!r}; "
                    "add it to depends_on."
                )
                yield FieldProblem(loc, text, "not_an_ancestor")


@dataclass(frozen=True, slots=True)
class PlanProgress:
    """How many steps are in which state. `waiting` ones need others first, or were not started."""

    total: int
    completed: int
    failed: int
    cancelled: int
    active: int
    waiting: int

    @property
    def percent(self) -> int:
        """The completed steps in percent, rounded down: 100 only if all are completed."""
        return 0 if self.total == 0 else 100 * self.completed // self.total


def count_progress(statuses: Sequence[ExecutionStatus | None]) -> PlanProgress:
    """Count the states of the steps; None is a step without an execution."""
    completed, failed, cancelled = (
        statuses.count(status)
        for status in (
            ExecutionStatus.COMPLETED,
            ExecutionStatus.FAILED,
            ExecutionStatus.CANCELLED,
        )
    )
    waiting = sum(status in (None, ExecutionStatus.BLOCKED) for status in statuses)
    total = len(statuses)
    active = total - completed - failed - cancelled - waiting
    return PlanProgress(total, completed, failed, cancelled, active, waiting)


PlanAction = Literal["start", "cancel", "retry"]


def find_action(
    statuses: Sequence[ExecutionStatus | None], *, is_active: bool, approval_required: bool
) -> PlanAction | None:
    """What a client can do next with a plan; `statuses` are those of its steps, as above."""
    if is_active:
        return "cancel"
    if not any(statuses):
        return "start"
    is_unapproved = approval_required and None in statuses
    if is_unapproved or any(status and not status.is_terminal for status in statuses):
        return None
    is_completed = all(status is ExecutionStatus.COMPLETED for status in statuses)
    return None if is_completed else "retry"


@dataclass(frozen=True, slots=True)
class StepState:
    """A step of a plan that runs, with the state of its execution, if it has one yet.

    `has_run`: its workflow runs, or has run. `reported_status` is what the newest event of the plan
    says about it. `start_segment` is the segment of the plan's workflow that starts it.
    """

    key: str
    title: str
    execution_id: UUID | None
    status: ExecutionStatus | None
    is_external: bool
    has_run: bool
    error_code: str | None
    reported_status: str | None
    start_segment: int | None

    @property
    def is_ready(self) -> bool:
        """Whether its workflow can start."""
        return self.status is ExecutionStatus.PENDING and not self.has_run

    @property
    def has_ended(self) -> bool:
        """Whether its execution has ended."""
        return self.status is not None and self.status.is_terminal

    @property
    def is_active(self) -> bool:
        """Whether it has started, or is being started, and has not ended."""
        is_starting = self.is_ready and self.start_segment is not None
        return not self.has_ended and (self.has_run or is_starting)

    @property
    def status_to_report(self) -> str | None:
        """What an event says about it: that it has started, or how it has ended."""
        if self.has_ended:
            return self.status
        is_started = self.has_run or self.start_segment is not None
        return STARTED if is_started else None


STARTED = "started"

Approval = Literal["open", "denied"]
"""The state of a plan's approval, unless it is given or not required."""


@dataclass(frozen=True, slots=True)
class PlanDecision:
    """What follows from the state of a plan: its status, and the steps to start now.

    A terminal `status` is the plan's end. `has_more`: there are more steps than start at once.
    """

    status: ExecutionStatus
    error_code: ErrorCode | None = None
    error_message: str | None = None
    start: Sequence[StepState] = ()
    has_more: bool = False


def decide(
    steps: Sequence[StepState],
    *,
    approval: Approval | None,
    is_paused: bool,
    max_parallel: int | None,
) -> PlanDecision:
    """Decide what a plan does next, from the states of its steps in their order."""
    if approval == "denied":
        text = "A person refused the plan."
        return PlanDecision(ExecutionStatus.FAILED, ErrorCode.INPUT_DENIED, text)
    if all(step.has_ended for step in steps):
        return _decide_end(steps)
    ready = [] if is_paused else _choose_ready(steps, max_parallel)
    status = ExecutionStatus.RUNNING
    if approval == "open":
        status = ExecutionStatus.WAITING_FOR_USER
    elif is_paused:
        status = ExecutionStatus.PAUSED
    more = len(ready) > MOST_STARTS
    return PlanDecision(status, start=ready[:MOST_STARTS], has_more=more)


def _choose_ready(steps: Sequence[StepState], max_parallel: int | None) -> list[StepState]:
    """The steps that can start and are not being started. External ones start in any number."""
    new = [step for step in steps if step.is_ready and step.start_segment is None]
    if max_parallel is None:
        return new
    active = sum(step.is_active and not step.is_external for step in steps)
    own = [step.key for step in new if not step.is_external][: max(max_parallel - active, 0)]
    return [step for step in new if step.is_external or step.key in own]


def _decide_end(steps: Sequence[StepState]) -> PlanDecision:
    failed = [step for step in steps if step.status is not ExecutionStatus.COMPLETED]
    if not failed:
        return PlanDecision(ExecutionStatus.COMPLETED)
    causes = [s for s in failed if s.error_code != ErrorCode.PREREQUISITE_FAILED] or failed
    first = causes[0]
    why = f" ({first.error_code})" if first.error_code else ""
    outcome = "failed" if first.status is ExecutionStatus.FAILED else f"was {first.status}"
    text = (
        f"Step {first.key!r} {outcome}{why}; {len(failed)} of {len(steps)} steps were not "
        "completed. Correct the cause, then retry the plan."
    )
    return PlanDecision(ExecutionStatus.FAILED, ErrorCode.STEP_FAILED, text)


def join_results(results: Sequence[tuple[str, str]]) -> str:
    """The result of a plan from the titles and results of its last steps."""
    if len(results) == 1:
        return results[0][1]
    parts = [f"## {title}\n\n{shorten(result)}" for title, result in results[:MOST_RESULTS]]
    left_out = len(results) - len(parts)
    return "\n\n".join([*parts, *([f"({left_out} more steps)"] if left_out else [])])
