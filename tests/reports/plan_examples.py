"""Plans to report: one with every state of a step, one that is long, one that is a draft."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from domain.executions.report_facts import Excerpt
from domain.plans.facts import PlanFacts, PlanStepFacts

STARTED = datetime(2026, 11, 21, 4, 16, 56, tzinfo=UTC)

_STEPS = (
    ("collect", "Collect the reports of all branches", "completed", 1, ()),
    ("prices", "Read the price lists", "completed", 1, ()),
    ("analyse", "Compare <prices> & volumes", "running", 2, ("collect", "prices")),
    ("check", "Check the sources", "waiting_for_user", 2, ("collect",)),
    ("translate", "Translate", "failed", 2, ("collect",)),
    ("write", "Write the summary", "blocked", 3, ("analyse", "check", "prices")),
    ("print", "Print it", "cancelled", 3, ("translate",)),
)


def make_step(
    key: str, title: str, state: str, batch: int, depends_on: Sequence[str] = ()
) -> PlanStepFacts:
    """A step with an execution, if it has started."""
    has_run = state != "draft"
    is_completed, is_failed = state == "completed", state == "failed"
    return PlanStepFacts(
        key=key,
        title=title,
        state=state,
        batch=batch - 1,
        depends_on=tuple(depends_on),
        executor="claude",
        agent_id="researcher",
        execution_id=UUID(int=batch) if has_run else None,
        started_at=STARTED if is_completed else None,
        completed_at=STARTED + timedelta(seconds=12) if is_completed else None,
        duration_ms=12_000 if is_completed else None,
        cost_usd=Decimal("0.0123") if is_completed else Decimal(0),
        result=Excerpt.of(f"**{title}** is done.", 2_000) if is_completed else None,
        error_code="model_error" if is_failed else None,
        error_message="The provider refused the call." if is_failed else None,
    )


def make_plan(steps: Sequence[PlanStepFacts], status: str = "running") -> PlanFacts:
    """A plan of these steps."""
    return PlanFacts(
        plan_id=UUID(int=7),
        title="Quarterly report",
        goal=Excerpt.of("Know why the volumes fell.", 4_000),
        status=status,
        read_at=STARTED + timedelta(minutes=1),
        created_at=STARTED - timedelta(minutes=1),
        started_at=STARTED if status != "draft" else None,
        completed_at=None,
        execution_id=UUID(int=8),
        error_code=None,
        message=None,
        budget_usd=Decimal(5),
        cost_usd=sum((step.cost_usd for step in steps), Decimal(0)),
        is_scripted=False,
        critical_path=("collect", "analyse", "write"),
        steps=steps,
    )


def ordinary() -> PlanFacts:
    """A plan that runs."""
    return make_plan([make_step(*step) for step in _STEPS])


def failed() -> PlanFacts:
    """A plan that has failed."""
    message = "Step translate failed."
    made = replace(ordinary(), status="failed", error_code="step_failed", message=message)
    return replace(made, completed_at=STARTED + timedelta(minutes=2))


def chain(length: int) -> PlanFacts:
    """A plan in which each step needs the one before it."""
    steps = [
        make_step(f"s{n}", f"Step {n}", "draft", n + 1, (f"s{n - 1}",) if n else ())
        for n in range(length)
    ]
    return make_plan(steps, "draft")
