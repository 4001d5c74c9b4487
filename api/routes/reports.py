"""The report of an execution."""

from uuid import UUID

from fastapi import APIRouter, Response

from api.calls import Called
from api.responses import answer
from api.routes.executions import own_execution
from api.schemas.reports import ReportRead
from domain.errors import NotFoundError
from persistence import reports

router = APIRouter(prefix="/task-executions", tags=["executions"])


@router.get("/{execution_id}/report", responses={200: {"model": ReportRead}})
async def get_report(call: Called, execution_id: UUID) -> Response:
    """The stored report."""
    async with call.gateway.database.reading() as session:
        await own_execution(session, call, execution_id)
        row = await reports.of_execution(session, execution_id)
    if row is None:
        raise NotFoundError("This execution has no report.")
    return answer(ReportRead.model_validate(row, from_attributes=True))
