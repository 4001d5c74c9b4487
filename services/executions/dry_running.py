"""Dry runs: what an execution of a task would be, without one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from domain.agents.agent import Agent
from persistence.executions.creation import Start
from persistence.ledger import forecasts
from persistence.ledger.forecasts import Forecast
from services.definitions import task_rules
from services.definitions.warnings import approver_warnings, unused_variable_warnings
from services.executions import starting
from services.executions.access import get_readable_task
from services.executions.inputs import DryRunBody, ExecuteBody
from services.scheduling.variables import with_schedule_variables
from services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class DryRunResult:
    """What would start, the model that would run, and what past executions suggest."""

    start: Start
    agent: Agent | None
    model: str
    forecast: Forecast
    warnings: Sequence[str]
    """Those that depend on what is stored beside the task."""


async def dry_run(work: UnitOfWork, task_id: UUID, body: DryRunBody) -> DryRunResult:
    """Check a start of a task without starting it.

    Raises:
        TaskInactiveError: it is inactive.
    """
    task = await get_readable_task(work.session, work.caller, task_id)
    execution = ExecuteBody(variables=body.variables, max_budget_usd=body.max_budget_usd)
    start = starting.make_start(work, starting.require_active_work(task), execution)
    now = datetime.now(UTC)
    start = await with_schedule_variables(work.session, start, now)
    agent = await starting.check_start(work, start, strict_variables=body.strict_variables)
    default_model = work.services.settings.default_model
    model = task_rules.choose_model(start.work.definition, agent, default_model)
    forecast = await forecasts.make_forecast(work.session, task_id, start.user_id)
    definition, starter_id = start.work.definition, start.user_id
    warnings = [
        *unused_variable_warnings(definition, body.variables),
        *await approver_warnings(work.session, definition, starter_id),
    ]
    return DryRunResult(start, agent, model, forecast, warnings)
