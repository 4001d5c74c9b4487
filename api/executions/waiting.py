"""Responses of requests that start executions; `?wait=` delays them until the execution settles."""

import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.executions.schemas import ExecutionRead, render_cached_execution, render_execution
from api.http import metrics
from api.http.idempotency import Service, run_service
from api.http.request_context import Call
from api.http.responses import answer
from persistence.executions.cached_reads import SETTLED
from persistence.tables.executions import ExecutionRow

MAX_WAIT_SECONDS = 60
"""Proxies commonly time out after a minute."""

Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)]

ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": ExecutionRead, "description": "It has ended, or it waits for a person."},
    202: {"model": ExecutionRead},
}
"""The responses of a route that starts an execution."""

View = Callable[[ExecutionRead], ExecutionRead]
"""Makes the response of a route from an execution."""

_KEPT_HEADERS = ("location", "idempotency-replayed")


def _keep(read: ExecutionRead) -> ExecutionRead:
    return read


async def start_and_wait(
    call: Call,
    service: Service[ExecutionRow],
    wait: float,
    *,
    status: int = 202,
    view: View = _keep,
) -> Response:
    """Run a service that starts an execution, and wait for the execution if asked to.

    With `wait` (seconds) the response is 200 as soon as the execution has ended or waits for a
    person, and `status` when the time is over. `view` adds fields to the execution.
    """
    response = await run_service(call, service, partial(_render, status=status, view=view))
    if wait and response.status_code == status:
        return await _wait_until_settled(call, response, wait, view)
    return response


async def _render(
    call: Call, _: AsyncSession, row: ExecutionRow, *, status: int, view: View
) -> Response:
    read = view(render_execution(call, row))
    return answer(read, status, {"Location": read.links["self"]})


async def _wait_until_settled(
    call: Call, accepted: Response, seconds: float, view: View
) -> Response:
    """Return the execution once it has settled, or as it is after `seconds`."""
    execution_id = UUID(json.loads(bytes(accepted.body))["id"])
    with metrics.WAITS.track_inprogress():
        await call.run_while_connected(
            call.gateway.watcher.wait_until_settled(execution_id, seconds)
        )
    await call.require_current_credentials()
    columns = await call.gateway.cached_reads.execution(execution_id)
    if columns is None:
        return accepted
    headers = {h: accepted.headers[h] for h in _KEPT_HEADERS if h in accepted.headers}
    status = 200 if columns["status"] in SETTLED else accepted.status_code
    return answer(view(render_cached_execution(call, columns)), status, headers)
