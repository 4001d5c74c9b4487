"""Answers that take effect some seconds later, so that their authors can withdraw them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import AlreadyAnsweredError, FieldProblem
from domain.people.requests import RequestKind
from persistence.executions import due_requests, input_requests, queries
from persistence.identity import users
from persistence.ledger.audit import Actor
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller, missing
from services.executions.access import get_answerable_request
from services.executions.due_requests import BATCH, act_or_postpone
from services.executions.inputs import AnswerBody
from services.executions.remembering import remember
from services.unit_of_work import Services, UnitOfWork

RULE_FIELDS = ("decision", "message", "remember", "remember_pattern", "remember_until")
"""The fields of an answer from which a rule is stored when it takes effect."""

_IMMEDIATE = frozenset({RequestKind.BUDGET, RequestKind.PLAN_APPROVAL})
"""Kinds whose answers change other rows in the same transaction."""


def can_be_held(row: InputRequestRow) -> bool:
    """Whether an answer to this request can take effect later: it changes nothing else."""
    return row.kind not in _IMMEDIATE and row.approvals_required == 1


def undo_problems(row: InputRequestRow, body: AnswerBody) -> Iterator[FieldProblem]:
    """Why an answer can't be held back."""
    if body.undo_seconds and not can_be_held(row):
        hint = "This answer takes effect at once; leave undo_seconds out."
        yield FieldProblem(("body", "undo_seconds"), hint)


async def withdraw(work: UnitOfWork, request_id: UUID) -> InputRequestRow:
    """Withdraw the caller's answer before it takes effect; the request is open again.

    Raises:
        AlreadyAnsweredError: it is another user's answer, or it has taken effect.
    """
    row = await get_answerable_request(work.session, work.caller, request_id)
    execution = await queries.lock_existing(work.session, row.execution_id)
    row = await input_requests.lock(work.session, request_id)
    if row.held_rule is None or execution.completed_at is not None:
        raise AlreadyAnsweredError("This request has no answer that can be withdrawn.")
    if row.answered_by != work.caller.user_id:
        raise AlreadyAnsweredError("Another user has answered; only they can withdraw it.")
    before = {"decision": (row.answer or {}).get("decision")}
    await input_requests.reopen(work.session, row)
    entity = ("input_request", request_id)
    await work.record_audit(
        "input_request.withdraw", entity, before=before, after={}, owner_id=row.user_id
    )
    work.wake_workflow(execution.id, execution.workflow_id)
    return row


async def apply_held(services: Services, now: datetime | None = None) -> int:
    """Let the answers take effect whose time has come; return their number.

    An answer that fails is tried again later, so that it delays no other (`due_requests`).
    """
    at = now or datetime.now(UTC)
    due = await due_requests.list_held(services.database, at, limit=BATCH)
    for request_id in due:
        act = partial(_apply_one, services, request_id, at)
        await act_or_postpone(services.database, request_id, act, field="effective_at", now=at)
    return len(due)


async def _apply_one(services: Services, request_id: UUID, now: datetime) -> None:
    async with services.database.reading() as session:
        author = await _find_author(session, request_id)
    if author is not None:
        async with services.transaction(author) as work:
            await _apply(work, request_id, now)


async def _find_author(session: AsyncSession, request_id: UUID) -> Caller | None:
    """The user who gave a held answer; None if it was withdrawn."""
    row = await input_requests.find(session, request_id)
    if row is None or row.answered_by is None:
        return None
    user = await users.find(session, row.answered_by)
    if user is None:
        raise missing("user", row.answered_by)
    return Caller(user_id=user.id, subject=user.subject, actor=Actor(user.id))


async def _apply(work: UnitOfWork, request_id: UUID, now: datetime) -> None:
    row = await input_requests.find(work.session, request_id)
    if row is None:
        return
    execution = await queries.lock_existing(work.session, row.execution_id)
    row = await input_requests.lock(work.session, request_id)
    # It may have been withdrawn, and another person may have answered meanwhile.
    if row.held_rule is None or row.effective_at is None or row.effective_at > now:
        return
    if execution.completed_at is not None:
        row.held_rule = None
        return
    body = AnswerBody.model_validate(row.held_rule)
    await input_requests.take_effect(work.session, row)
    await remember(work, execution, row, body)
    work.wake_workflow(execution.id, execution.workflow_id)
