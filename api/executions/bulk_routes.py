"""Cancel or retry several executions.

Each cancel request is its own transaction, to avoid long locks. After a crash, each execution is
either cancelled or unchanged, and the same request continues with the rest. Retries are one
transaction together with the idempotency key, so a repeated request starts nothing twice.
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
from api.executions.routes import narrowed_by, own_execution
from api.executions.schemas import BulkBody, BulkCancelBody, BulkResult, RetryBody, Skipped
from api.http.bodies import JsonBody
from api.http.idempotency import run_once
from api.http.request_context import Call, Called
from api.http.responses import answer
from domain.errors import FieldProblem, InvalidInputError, PerdureError
from domain.states import TERMINAL, ExecutionStatus
from persistence.executions import queries
from persistence.executions.creation import Start
from services.executions import cancelling
from services.executions.cancelling import require_active, wake
from services.executions.messaging import retry_of
from services.executions.starting import Started, dispatch, start

router = APIRouter(prefix="/task-executions/bulk", tags=["executions"])

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": BulkResult, "description": "Dry run: nothing was changed."},
    202: {"model": BulkResult},
}


LONGEST_SECONDS = 10.0
"""After this time, the rest is left to the next request: many proxies and clients time out after
30 seconds (chosen)."""

TOLD_AT_ONCE = 16
"""Concurrent requests to Temporal (chosen: each takes about 10 ms)."""

TELLING_SECONDS = 5.0
"""After this time, the relay sends the remaining requests to Temporal (chosen)."""

LEFT = {
    "code": "not_reached",
    "reason": "The request took too long to reach this execution; send the request again.",
}

Choose = Callable[..., Awaitable[Sequence[UUID]]]
Tell = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The selected executions, and whether more match."""

    ids: Sequence[UUID]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result. `tried` is the number of executions that were processed, in order."""

    done: list[UUID]
    skipped: list[Skipped]
    tried: int


@router.post("/cancel", status_code=202, responses=RESPONSES)
async def cancel_executions(
    call: Called, body: Annotated[BulkCancelBody, Depends(JsonBody(BulkCancelBody))]
) -> Response:
    """Cancel your executions that match a filter and have not ended, or those in `ids`."""
    news: list[Tell] = []

    async def check(session: AsyncSession, execution_id: UUID) -> None:
        require_active(await own_execution(session, call, execution_id))

    async def cancel_one(execution_id: UUID) -> UUID:
        async with call.gateway.database.transaction() as session:
            row = await own_execution(session, call, execution_id)
            stopping = await cancelling.cancel(session, call, row, body.reason)
        news.append(partial(wake, call.gateway, stopping))
        return execution_id

    if body.dry_run:
        return await _dry_run(call, body, queries.unasked, check)
    async with call.gateway.database.reading() as session:
        chosen = await _chosen(session, call, body, queries.unasked)
    outcome = await _each(chosen.ids, cancel_one)
    await _tell(news)
    return _result(body, chosen, outcome)


@router.post("/retry", status_code=202, responses=RESPONSES)
async def retry_executions(
    call: Called, body: Annotated[BulkBody, Depends(JsonBody(BulkBody))]
) -> Response:
    """Retry your executions that match a filter and have no retry yet, or those in `ids`.

    The default `status` of a filter is `failed`. Subtasks are retried with their parents.
    """
    body = _of_ended(body)

    async def wanted(session: AsyncSession, execution_id: UUID) -> Start:
        row = await own_execution(session, call, execution_id)
        return await retry_of(session, call, row, RetryBody())

    async def store(session: AsyncSession) -> tuple[Response, list[Started]]:
        stored: list[Started] = []

        async def retry(execution_id: UUID) -> UUID:
            async with session.begin_nested():
                retried = await wanted(session, execution_id)
                stored.append(await start(session, call.gateway, retried))
            return stored[-1].row.id

        chosen = await _chosen(session, call, body, queries.unretried)
        return _result(body, chosen, await _each(chosen.ids, retry)), stored

    if body.dry_run:
        return await _dry_run(call, body, queries.unretried, wanted)
    done = await run_once(call, store)
    await _tell([partial(dispatch, call.gateway, started) for started in done.value or ()])
    return done.response


def _of_ended(body: BulkBody) -> BulkBody:
    if body.filter is None:
        return body
    statuses = body.filter.status or (ExecutionStatus.FAILED,)
    if active := [status for status in statuses if status not in TERMINAL]:
        hint = f"Only executions that have ended can be retried; remove {active[0]!r} from status."
        problem = FieldProblem(("body", "filter", "status"), hint)
        raise InvalidInputError(
            "The filter cannot match an execution that has ended; see errors.", [problem]
        )
    narrowed = body.filter.model_copy(update={"status": statuses})
    return body.model_copy(update={"filter": narrowed})


async def _dry_run(
    call: Call,
    body: BulkBody,
    choose: Choose,
    check: Callable[[AsyncSession, UUID], Awaitable[object]],
) -> Response:
    async with call.gateway.database.reading() as session:

        async def only_check(execution_id: UUID) -> UUID:
            await check(session, execution_id)
            return execution_id

        chosen = await _chosen(session, call, body, choose)
        return _result(body, chosen, await _each(chosen.ids, only_check))


async def _chosen(session: AsyncSession, call: Call, body: BulkBody, choose: Choose) -> Chosen:
    ids: Sequence[UUID] = list(dict.fromkeys(body.ids or ()))
    if body.filter is not None:
        narrowed, user_id = narrowed_by(body.filter), call.principal.user_id
        ids = await choose(session, user_id, narrowed, limit=body.limit + 1)
    return Chosen(ids[: body.limit], has_more=len(ids) > body.limit)


async def _each(ids: Sequence[UUID], one: Callable[[UUID], Awaitable[UUID]]) -> Outcome:
    """Process the executions in order until the time is over."""
    outcome = Outcome([], [], len(ids))
    began = time.monotonic()
    for position, execution_id in enumerate(ids):
        if time.monotonic() - began >= LONGEST_SECONDS:
            return Outcome(outcome.done, outcome.skipped, position)
        try:
            outcome.done.append(await one(execution_id))
        except PerdureError as error:
            why = Skipped(id=execution_id, code=error.code, reason=error.detail)
            outcome.skipped.append(why)
    return outcome


async def _tell(news: Sequence[Tell]) -> None:
    """Send requests to Temporal until the time is over; the relay sends the rest."""
    began = time.monotonic()
    for position in range(0, len(news), TOLD_AT_ONCE):
        if time.monotonic() - began > TELLING_SECONDS:
            return
        await asyncio.gather(*(tell() for tell in news[position : position + TOLD_AT_ONCE]))


def _result(body: BulkBody, chosen: Chosen, outcome: Outcome) -> Response:
    left = chosen.ids[outcome.tried :]
    named_left = [Skipped(id=execution_id, **LEFT) for execution_id in left] if body.ids else []
    result = BulkResult(
        matched=len(chosen.ids) if body.ids else outcome.tried,
        changed=0 if body.dry_run else len(outcome.done),
        skipped=[*outcome.skipped, *named_left],
        execution_ids=outcome.done,
        has_more=chosen.has_more or bool(left),
        links={"executions": f"{links.BASE}/task-executions"},
    )
    return answer(result, 200 if body.dry_run else 202)
