"""`?wait=`: delay the response until the execution has ended or waits for a person."""

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from api import views
from api.executions.schemas import ExecutionRead
from api.http import metrics
from api.http.request_context import Call
from api.http.responses import answer
from persistence.executions.cached_reads import SETTLED

LONGEST_WAIT_SECONDS = 60
"""Proxies commonly time out after a minute (contract.md, section 2)."""

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)]

ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": ExecutionRead, "description": "The execution has ended or waits for a person."},
    202: {"model": ExecutionRead},
}
"""The responses of a route that starts an execution."""

_KEPT_HEADERS = ("location", "idempotency-replayed")


async def settled(call: Call, accepted: Response, seconds: float) -> Response:
    """The execution when it has ended or waits for a person, or after `seconds`."""
    execution_id = UUID(json.loads(bytes(accepted.body))["id"])
    with metrics.WAITS.track_inprogress():
        await call.gateway.watcher.settled(execution_id, seconds)
    columns = await call.gateway.cached_reads.execution(execution_id)
    if columns is None:
        return accepted
    headers = {h: accepted.headers[h] for h in _KEPT_HEADERS if h in accepted.headers}
    status = 200 if columns["status"] in SETTLED else accepted.status_code
    return answer(views.execution_of(call, columns), status, headers)
