"""Many executions at once: cancel them, or run them again.

Each is a transaction of its own: what a crash leaves is done or untouched, and the same request
goes on with the rest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.bodies import JsonBody
from api.calls import Call, Called
from api.idempotency import once
from api.responses import answer
from api.routes.executions import narrowed_by, own_execution
from api.saying import again
from api.schemas.executions import BulkBody, BulkCancelBody, BulkResult, RetryBody, Skipped
from api.starting import dispatch, start
from api.stopping import require_active, ring, stop
from domain.errors import FieldProblem, InvalidInputError, PerdureError
from domain.states import TERMINAL, ExecutionStatus
from persistence import executions
from persistence.starts import Start

router = APIRouter(prefix="/task-executions/bulk", tags=["executions"])

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkResult, "description": "A dry run: nothing was changed."},
    202: {"model": BulkResult},
}


TOLD_AT_ONCE = 16
"""Executions that Temporal is told of side by side (chosen: each takes some 10 ms of waiting)."""

TELLING_SECONDS = 5.0
"""When Temporal takes longer than this for all of them, the relay tells it of the rest (chosen)."""

LONGEST_SECONDS = 10.0
"""What is not begun by then is left for the next request: proxies and clients wait no longer than
half a minute (chosen)."""

LEFT = {"code": "not_reached", "reason": "There was no time left for it; send it again."}

Tell = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to each.

    `choose` finds those that fit a filter, `check` refuses one that can't be changed, `make`
    changes one and returns the id to answer with, and how to tell Temporal of it.
    """

    choose: Callable[..., Awaitable[Sequence[UUID]]]
    check: Callable[[AsyncSession, UUID], Awaitable[object]]
    make: Callable[[UUID], Awaitable[tuple[UUID, Tell]]]


@router.post("/cancel", status_code=202, responses=RESPONSES)
async def cancel_executions(
    call: Called, body: Annotated[BulkCancelBody, Depends(JsonBody(BulkCancelBody))]
) -> Response:
    """Cancel my executions that fit a filter and have not ended, or those that are named."""

    async def check(session: AsyncSession, execution_id: UUID) -> None:
        require_active(await own_execution(session, call, execution_id))

    async def cancel(execution_id: UUID) -> tuple[UUID, Tell]:
        async with call.gateway.database.transaction() as session:
            row = await own_execution(session, call, execution_id)
            stopping = await stop(session, call, row, body.reason)
        return execution_id, partial(ring, call.gateway, stopping)

    return await _each(call, body, Change(executions.unasked, check, cancel))


@router.post("/retry", status_code=202, responses=RESPONSES)
async def retry_executions(
    call: Called, body: Annotated[BulkBody, Depends(JsonBody(BulkBody))]
) -> Response:
    """Run again my executions that fit a filter and have no retry yet, or those that are named.

    A filter without a status means the failed ones. Subtasks come again with their parents.
    """

    async def check(session: AsyncSession, execution_id: UUID) -> Start:
        row = await own_execution(session, call, execution_id)
        return await again(session, call, row, RetryBody())

    async def retry(execution_id: UUID) -> tuple[UUID, Tell]:
        async with call.gateway.database.transaction() as session:
            wanted = await check(session, execution_id)
            started = await start(session, call.gateway, wanted)
        return started.row.id, partial(dispatch, call.gateway, started)

    return await _each(call, _of_ended(body), Change(executions.unretried, check, retry))


def _of_ended(body: BulkBody) -> BulkBody:
    if body.filter is None:
        return body
    statuses = body.filter.status or (ExecutionStatus.FAILED,)
    if active := [status for status in statuses if status not in TERMINAL]:
        hint = f"Only what has ended can run again, not what is {active[0]}."
        problem = FieldProblem(("body", "filter", "status"), hint)
        raise InvalidInputError("The filter fits nothing that could run again.", [problem])
    narrowed = body.filter.model_copy(update={"status": statuses})
    return body.model_copy(update={"filter": narrowed})


async def _each(call: Call, body: BulkBody, change: Change) -> Response:
    async def operation(session: AsyncSession) -> tuple[Response, None]:
        ids: Sequence[UUID] = body.ids or ()
        if body.filter is not None:
            narrowed, user_id = narrowed_by(body.filter), call.principal.user_id
            ids = await change.choose(session, user_id, narrowed, limit=body.limit + 1)
        chosen = list(dict.fromkeys(ids))[: body.limit]

        async def only_check(execution_id: UUID) -> tuple[UUID, Tell]:
            await change.check(session, execution_id)
            return execution_id, _nothing_to_tell

        done, skipped, tried = await _tried(chosen, only_check if body.dry_run else change.make)
        if body.ids:
            skipped += [Skipped(id=left, **LEFT) for left in chosen[tried:]]
        result = BulkResult(
            matched=len(chosen) if body.ids else tried,
            changed=0 if body.dry_run else len(done),
            skipped=skipped,
            execution_ids=done,
            has_more=len(set(ids)) > tried,
            links={"executions": f"{links.BASE}/task-executions"},
        )
        return answer(result, 200 if body.dry_run else 202), None

    return (await once(call, operation)).response


async def _tried(
    ids: Sequence[UUID], one: Callable[[UUID], Awaitable[tuple[UUID, Tell]]]
) -> tuple[list[UUID], list[Skipped], int]:
    """What came of each, those that were refused, and how many of the first there was time for."""
    done: list[UUID] = []
    skipped: list[Skipped] = []
    began, telling_seconds = time.monotonic(), 0.0
    for start_at in range(0, len(ids), TOLD_AT_ONCE):
        if time.monotonic() - began > LONGEST_SECONDS:
            return done, skipped, start_at
        news: list[Tell] = []
        for execution_id in ids[start_at : start_at + TOLD_AT_ONCE]:
            try:
                changed, tell = await one(execution_id)
            except PerdureError as error:
                skipped.append(Skipped(id=execution_id, code=error.code, reason=error.detail))
            else:
                done.append(changed)
                news.append(tell)
        if telling_seconds < TELLING_SECONDS:
            telling = time.monotonic()
            await asyncio.gather(*(tell() for tell in news))
            telling_seconds += time.monotonic() - telling
    return done, skipped, len(ids)


async def _nothing_to_tell() -> None:
    """After a check that changed nothing."""
