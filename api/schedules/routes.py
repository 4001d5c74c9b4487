"""Routes of schedules: read, pause, resume, trigger, backfill."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.waiting import ACCEPTED, Wait, start_and_wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_service
from api.http.paging import Listing, ListQuery
from api.http.rendering import render_items
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.http.schemas import from_row
from api.links import BASE
from api.schedules.reading import read_schedule
from api.schedules.schemas import (
    BackfillRead,
    ScheduleLine,
    ScheduleRead,
    render_schedule_line,
)
from persistence.definitions import schedules
from services.definitions.tasks import enable_schedule
from services.executions import starting
from services.executions.inputs import BackfillBody
from services.scheduling.backfills import PlannedBackfill, backfill

router = APIRouter(prefix=BASE, tags=["schedules"])

READ: dict[int | str, dict[str, Any]] = {200: {"model": ScheduleRead}}


@router.get("/schedules", responses={200: {"model": Listing[ScheduleLine]}})
async def list_schedules(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """List your scheduled tasks with their next run times, newest first."""
    async with call.gateway.database.reading() as session:
        page = await schedules.page(session, call.principal.user_id, query.window())
        synchronised = await schedules.find_synchronised(session, [row.id for row in page.rows])
    lines = [render_schedule_line(row, is_synchronised=row.id in synchronised) for row in page.rows]
    return render_items(call, query, page, lines)


@router.get("/tasks/{task_id}/schedule", responses=READ)
async def get_schedule(call: Called, task_id: UUID) -> Response:
    """The schedule of a task: its next runs and its recent ones."""
    return single(call.request, await read_schedule(call, task_id))


@router.post("/tasks/{task_id}/schedule/pause", responses=READ)
async def pause_schedule(call: Called, task_id: UUID) -> Response:
    """Start no further runs until the schedule is resumed; active executions continue."""
    async with call.services.transaction(call.caller) as work:
        await enable_schedule(work, task_id, is_enabled=False)
    return answer(await read_schedule(call, task_id))


@router.post("/tasks/{task_id}/schedule/resume", responses=READ)
async def resume_schedule(call: Called, task_id: UUID) -> Response:
    """Start runs again from now on; runs that were due during the pause are not started."""
    async with call.services.transaction(call.caller) as work:
        await enable_schedule(work, task_id, is_enabled=True)
    return answer(await read_schedule(call, task_id))


@router.post("/tasks/{task_id}/schedule/trigger", status_code=202, responses=ACCEPTED)
async def trigger_schedule(call: Called, task_id: UUID, wait: Wait = 0) -> Response:
    """Run the task now as if it were due, even while the schedule is paused."""
    return await start_and_wait(call, partial(starting.trigger_schedule, task_id=task_id), wait)


@router.post(
    "/tasks/{task_id}/schedule/backfill", status_code=202, responses={202: {"model": BackfillRead}}
)
async def backfill_schedule(
    call: Called, task_id: UUID, body: Annotated[BackfillBody, Depends(JsonBody(BackfillBody))]
) -> Response:
    """Start the runs of a past time range, even while the schedule is paused."""
    return await run_service(call, partial(backfill, task_id=task_id, body=body), _render_backfill)


async def _render_backfill(_: Call, __: AsyncSession, planned: PlannedBackfill) -> Response:
    return answer(from_row(BackfillRead, planned.backfill, fires=planned.runs), 202)
