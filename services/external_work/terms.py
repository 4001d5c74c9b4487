"""Changes what orders external work: its base priority, its deadline and its estimate."""

from datetime import datetime
from uuid import UUID

from domain.errors import ConflictError, InvalidInputError
from persistence.executions import priorities
from persistence.tables.executions import ExecutionRow
from services.executions.access import get_own_execution, require_active
from services.executions.starting import list_deadline_problems
from services.external_work.inputs import TermsBody
from services.unit_of_work import UnitOfWork


async def change(work: UnitOfWork, execution_id: UUID, body: TermsBody) -> ExecutionRow:
    """Change the fields that were sent; the calculated priority follows at once.

    Raises:
        ExecutionTerminalError: it has ended.
        ConflictError: Claude runs it.
        InvalidInputError: the deadline is not in the future.
    """
    row = await get_own_execution(work.session, work.caller, execution_id, lock=True)
    require_active(row)
    if row.executor != "external":
        raise ConflictError("Claude runs this execution; only external work has an order.")
    columns = body.model_dump(exclude_unset=True)
    if not columns:
        return row
    if problems := list_deadline_problems(body.deadline_at):
        raise InvalidInputError("The change is invalid; see errors.", problems)
    before = {name: getattr(row, name) for name in columns}
    await priorities.change_terms(work.session, row.id, columns)
    await work.session.refresh(row)
    await work.record_audit(
        "execution.update",
        ("execution", row.id),
        before={name: _to_json(value) for name, value in before.items()},
        after=body.model_dump(mode="json", exclude_unset=True),
        owner_id=row.user_id,
    )
    # Its workflow waits for the deadline.
    work.wake_workflow(row.id, row.workflow_id)
    return row


def _to_json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
