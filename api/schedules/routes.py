"""Schedules of tasks: how they stand, pause, resume, trigger, backfill."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.executions.schemas import ExecuteBody
from api.executions.waiting import ACCEPTED, Wait
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.paging import Listing, ListQuery, listing
from api.http.request_context import Call, Called
from api.http.responses import answer, single
from api.schedules import views
from api.schedules.schemas import BackfillBody, BackfillRead, ScheduleLine, ScheduleRead
from api.schedules.views import NO_SCHEDULE
from api.tasks.routes import change_task, own_locked
from api.tasks.schemas import TaskUpdate
from domain.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from domain.ids import new_id
from domain.schedules import Backfill, TaskSchedule
from persistence.definitions import scheduled_runs, schedules, tasks
from persistence.definitions.schedules import schedule_of
from persistence.definitions.tasks import StoredTask
from persistence.ledger import audit
from services.definitions.scheduling import keep_in_step
from services.executions.starting import Started, accepted, start, start_of_body, work_of
from services.scheduling.backfills import send_backfill
from services.scheduling.scheduled_runs import format_time

router = APIRouter(tags=["schedules"])

MOST_FIRES = 1000
"""Of one backfill: a wrong year in a date must not start half a million executions (chosen)."""

OLDEST = timedelta(days=3653)
"""How far back a backfill may begin: ten years, which no cron's history exceeds (chosen)."""

READ: dict[int | str, dict[str, Any]] = {200: {"model": ScheduleRead}}


@router.get("/schedules", responses={200: {"model": Listing[ScheduleLine]}})
async def list_schedules(call: Called, query: Annotated[ListQuery, Query()]) -> Response:
    """My tasks that have a schedule, newest first, with their next fires."""
    async with call.gateway.database.reading() as session:
        page = await schedules.page(session, call.principal.user_id, query.window())
        told = await schedules.find_synchronised(session, [row.id for row in page.rows])
    lines = [views.line(row, is_told=row.id in told) for row in page.rows]
    return answer(listing(call.request, query, page, lines))


@router.get("/tasks/{task_id}/schedule", responses=READ)
async def get_schedule(call: Called, task_id: UUID) -> Response:
    """How a task's schedule stands: when it fires next, and what became of its last fires."""
    return single(call.request, await _read(call, task_id))


@router.post("/tasks/{task_id}/schedule/pause", responses=READ)
async def pause_schedule(call: Called, task_id: UUID) -> Response:
    """Let it fire no more until it is resumed; what runs already goes on."""
    return await _enable(call, task_id, enabled=False)


@router.post("/tasks/{task_id}/schedule/resume", responses=READ)
async def resume_schedule(call: Called, task_id: UUID) -> Response:
    """Let it fire again from now on; what was due meanwhile is not made up for."""
    return await _enable(call, task_id, enabled=True)


@router.post("/tasks/{task_id}/schedule/trigger", status_code=202, responses=ACCEPTED)
async def trigger_schedule(call: Called, task_id: UUID, wait: Wait = 0) -> Response:
    """Run the task now as if it were due; also while the schedule is paused."""

    async def begin(session: AsyncSession) -> Started:
        task = await _scheduled(session, call, task_id)
        due = {"scheduled_at": format_time(datetime.now(UTC))}
        wanted = start_of_body(
            call,
            work_of(task),
            ExecuteBody(trigger_metadata=due),
            user_id=task.row.user_id,
            trigger_type="scheduled",
            action="schedule.trigger",
        )
        return await start(session, call.gateway, wanted)

    return await accepted(call, begin, wait)


@router.post(
    "/tasks/{task_id}/schedule/backfill", status_code=202, responses={202: {"model": BackfillRead}}
)
async def backfill_schedule(
    call: Called, task_id: UUID, body: Annotated[BackfillBody, Depends(JsonBody(BackfillBody))]
) -> Response:
    """Make up for the fires of a span in the past; also while the schedule is paused."""

    async def store(session: AsyncSession) -> tuple[Response, Backfill]:
        task = await _scheduled(session, call, task_id)
        wanted = schedule_of(task.row, None)
        if wanted is None:
            raise ConflictError(NO_SCHEDULE)
        count = _count(wanted, body)
        filled = Backfill(new_id(), task_id, body.start_at, body.end_at, body.overlap_policy)
        await schedules.store_backfill(session, filled)
        after = {**body.model_dump(mode="json"), "fires": count}
        entity, owner = ("task", task_id), task.row.user_id
        await audit.record(
            session, call.actor, "schedule.backfill", entity, after=after, owner_id=owner
        )
        read = BackfillRead(
            id=filled.id,
            task_id=task_id,
            **body.model_dump(),
            fires=count,
            links=links.backfill(task_id),
        )
        return answer(read, 202), filled

    done = await run_once(call, store)
    if done.value is not None:
        gateway = call.gateway
        await send_backfill(gateway.database, gateway.schedules, done.value)
    return done.response


async def _read(call: Call, task_id: UUID) -> ScheduleRead:
    async with call.gateway.database.reading() as session:
        task = await tasks.find(session, task_id)
        if task is None:
            raise NotFoundError(f"There is no task {task_id}.")
        call.require_own(task.row.user_id, "task")
        kept = await schedules.find(session, task_id)
        recent = await scheduled_runs.list_recent(session, task_id, limit=views.SHOWN_FIRES)
        skips = await scheduled_runs.count_skips(session, task_id)
    stands = None
    if kept is not None and kept.wanted is not None:
        stands = await call.gateway.schedules.state(kept.wanted)
    return views.schedule(
        task.row,
        is_told=kept is None or kept.is_synchronised,
        stands=stands,
        fires=recent,
        skips=skips,
    )


async def _enable(call: Call, task_id: UUID, *, enabled: bool) -> Response:
    async with call.gateway.database.transaction() as session:
        task = await _scheduled(session, call, task_id)
        if task.row.schedule_enabled != enabled:
            await change_task(session, call, task, TaskUpdate(schedule_enabled=enabled))
    await keep_in_step(call.gateway, task_id)
    return answer(await _read(call, task_id))


async def _scheduled(session: AsyncSession, call: Call, task_id: UUID) -> StoredTask:
    """A task of the caller's that has a schedule, locked.

    Raises:
        NotFoundError: there is no such task.
        PermissionDeniedError: it is somebody else's.
        ConflictError: it has no schedule.
    """
    task = await own_locked(session, call, task_id)
    if not task.row.is_scheduled:
        raise ConflictError(NO_SCHEDULE)
    return task


def _count(wanted: TaskSchedule, body: BackfillBody) -> int:
    """How many fires are wanted.

    Raises:
        InvalidInputError: the span is none, does not lie in the past, or holds too many.
    """
    if body.start_at >= body.end_at:
        raise _refusal("start_at", "It must lie before end_at.")
    now = datetime.now(UTC)
    if body.start_at < now - OLDEST:
        raise _refusal("start_at", "It must lie within the last ten years.")
    if body.end_at > now:
        raise _refusal("end_at", "It must lie in the past; what comes fires by itself.")
    count = views.fires_within(wanted, body.start_at, body.end_at, limit=MOST_FIRES + 1)
    if count > MOST_FIRES:
        raise _refusal("start_at", f"The span holds more than {MOST_FIRES} fires; make it shorter.")
    return count


def _refusal(field: str, msg: str) -> InvalidInputError:
    return InvalidInputError(
        "The span can't be made up for; see errors.", [FieldProblem(("body", field), msg)]
    )
