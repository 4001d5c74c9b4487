"""Who may approve, and how many people must."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from domain.errors import AlreadyAnsweredError, FieldProblem, PermissionDeniedError
from domain.executions.events import Event
from domain.people.requests import RequestKind
from persistence.executions import events
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller
from services.executions.inputs import AnswerBody
from services.unit_of_work import UnitOfWork

_APPROVED_KINDS = frozenset({RequestKind.APPROVAL, RequestKind.PLAN_APPROVAL, RequestKind.BUDGET})
_APPROVING = frozenset({"approve", "edit"})


def approval_problems(row: InputRequestRow, body: AnswerBody) -> Iterator[FieldProblem]:
    """Parts of an answer that do not fit a request that several people must approve."""
    if row.approvals_required == 1:
        return
    if body.decision == "edit":
        hint = "Several people approve this call, so its input can't be edited; approve or deny."
        yield FieldProblem(("body", "decision"), hint)
    if body.remember not in (None, "once"):
        hint = "A decision of several people can't be remembered; leave remember out."
        yield FieldProblem(("body", "remember"), hint)


def require_other_approver(caller: Caller, row: InputRequestRow, answer: Mapping[str, Any]) -> None:
    """Refuse an approval of the user who started the execution, if the task says so.

    Raises:
        PermissionDeniedError: another person must approve.
    """
    is_approval = row.kind in _APPROVED_KINDS and answer["decision"] in _APPROVING
    if row.starter_may_not_approve and is_approval and caller.user_id == row.user_id:
        raise PermissionDeniedError(
            "You started this execution, and its task requires another person to approve. You can "
            "deny the request or assign it."
        )


def has_approved(row: InputRequestRow, caller: Caller) -> bool:
    """Whether the caller's approval is one of several that are stored."""
    return any(given["user_id"] == str(caller.user_id) for given in row.approvals)


async def add_approval(work: UnitOfWork, row: InputRequestRow, answer: Mapping[str, Any]) -> bool:
    """Store one approval of several on a locked request; return whether it is decided now.

    Raises:
        AlreadyAnsweredError: the caller has approved it before.
    """
    if answer["decision"] != "approve":
        return True
    caller = work.caller
    if has_approved(row, caller):
        left = row.approvals_required - len(row.approvals)
        raise AlreadyAnsweredError(
            f"You have approved this request. Approvals of others that it still needs: {left}."
        )
    given = {
        "user_id": str(caller.user_id),
        "author": caller.subject,
        "message": answer.get("message"),
        "at": datetime.now(UTC).isoformat(),
    }
    row.approvals = [*row.approvals, given]
    await work.session.flush()
    counts = {"approvals": len(row.approvals), "approvals_required": row.approvals_required}
    await events.append(
        work.session,
        row.execution_id,
        Event("input.approved", {"input_request_id": str(row.id), **counts}),
    )
    await work.record_audit(
        "input_request.approve", ("input_request", row.id), after=counts, owner_id=row.user_id
    )
    return len(row.approvals) >= row.approvals_required
