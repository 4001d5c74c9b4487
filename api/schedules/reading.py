"""Reads the schedule of a task, with its state in Temporal."""

from uuid import UUID

from api.http.request_context import Call
from api.schedules.schemas import SHOWN_RUNS, ScheduleRead, render_schedule
from definitions.tasks import TaskDefinition
from persistence.definitions import scheduled_runs, schedules
from services.definitions import references
from services.definitions.task_rules import choose_model
from services.definitions.warnings import model_warnings
from services.executions.access import get_own_task


async def read_schedule(call: Call, task_id: UUID) -> ScheduleRead:
    """The schedule of a task of the caller, with what Temporal knows about it."""
    async with call.gateway.database.reading() as session:
        task = await get_own_task(session, call.caller, task_id, lock=False)
        definition = TaskDefinition.model_validate(task.definition)
        kept = await schedules.find(session, task_id)
        recent = await scheduled_runs.list_recent(session, task_id, limit=SHOWN_RUNS)
        agent, _ = await references.find_agent(session, task.row.user_id, definition)
        skipped = await scheduled_runs.count_skips(session, task_id)
    model = choose_model(definition, agent, call.services.settings.default_model)
    state = None
    if kept is not None and kept.wanted is not None:
        state = await call.services.schedules.state(kept.wanted)
    return render_schedule(
        task.row,
        is_synchronised=kept is None or kept.is_synchronised,
        server_state=state,
        runs=recent,
        skipped=skipped,
        warnings=model_warnings(call.services.models, model),
    )
