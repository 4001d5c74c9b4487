"""The report of an execution: as it is stored, or as a file of any format."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.calls import Called
from api.responses import answer
from api.routes.executions import own_execution
from api.schemas.reports import ReportRead
from contracts.reports import Ending
from domain.errors import NotFoundError
from domain.states import ExecutionStatus
from persistence import reports
from persistence.tables.executions import ExecutionRow
from reports.render import ended, format_of, render

router = APIRouter(prefix="/task-executions", tags=["executions"])

FormatName = Annotated[str | None, Query(alias="format", max_length=40)]

# A report quotes what models and tools wrote; whatever gets through runs nothing and loads nothing.
_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:"
}


@router.get("/{execution_id}/report", responses={200: {"model": ReportRead}})
async def get_report(call: Called, execution_id: UUID, name: FormatName = None) -> Response:
    """The stored report; with `format` it is rendered as a file of that format."""
    chosen = None if name is None else format_of(name)
    async with call.gateway.database.reading() as session:
        execution = await own_execution(session, call, execution_id)
        row = await reports.of_execution(session, execution_id)
    if row is None:
        raise NotFoundError("This execution has no report.")
    ending = _ending(execution)
    if name is None or chosen is None:
        read = ReportRead.model_validate(row, from_attributes=True)
        return answer(read.model_copy(update={"content": ended(row.content, ending)}))
    rendered = await asyncio.to_thread(render, row.content, name, ending=ending)
    return Response(rendered, headers=_HEADERS, media_type=chosen.media_type)


def _ending(row: ExecutionRow) -> Ending | None:
    """How the execution ended, which a report made just before can't know."""
    if not ExecutionStatus(row.status).is_terminal:
        return None
    message = row.error_message or row.cancel_reason
    return Ending.model_validate(
        {"status": row.status, "error_code": row.error_code, "message": message}
    )
