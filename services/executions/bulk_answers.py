"""One decision for several requests that ask for alike calls, each of which the person has seen."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, InvalidInputError, PerdureError
from domain.people.requests import RequestKind
from persistence.executions import input_requests, queries
from persistence.executions.input_requests import CallLikeness
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller
from services.executions import answers, holding
from services.executions.access import get_answerable_request, require_scope_to_answer
from services.executions.holding import can_be_held
from services.executions.inputs import AnswerBody, UndoSeconds
from services.field_types import Body, Text
from services.unit_of_work import UnitOfWork

MOST_ANSWERS = 100
"""In one request: as many as a page of a list shows."""


class SeenRequest(BaseModel):
    """A request that the person has seen, with the hash of the input that was shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID
    input_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class AlikeBody(Body):
    """A decision about requests of the same task, tool and effect class."""

    requests: Annotated[tuple[SeenRequest, ...], Field(min_length=1, max_length=MOST_ANSWERS)]
    decision: Literal["approve", "deny"]
    message: Text | None = None
    undo_seconds: UndoSeconds = 0


class WithdrawBody(Body):
    """The requests whose answers are withdrawn."""

    ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MOST_ANSWERS)]


@dataclass(frozen=True, slots=True)
class SkippedRequest:
    """A request that was not changed, and why."""

    id: UUID
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlikeOutcome:
    """The ids of the requests that this decision has answered, and the others.

    Those in `approved_ids` are still open: they need approvals of more people. The answers of those
    in `held_ids`, some of the answered ones, take effect later, and can be withdrawn until then.
    """

    answered_ids: Sequence[UUID]
    held_ids: Sequence[UUID]
    approved_ids: Sequence[UUID]
    skipped: Sequence[SkippedRequest]


@dataclass(frozen=True, slots=True)
class WithdrawOutcome:
    """The ids of the requests that are open again, and the others."""

    reopened_ids: Sequence[UUID]
    skipped: Sequence[SkippedRequest]


Change = Callable[[UnitOfWork, UUID], Awaitable[InputRequestRow]]


async def answer_alike(work: UnitOfWork, body: AlikeBody) -> AlikeOutcome:
    """Give the same answer to several requests.

    Raises:
        InvalidInputError: they are not alike. No request is answered then.
        ScopeMissingError: the credentials may not decide (`access.require_scope_to_answer`).
    """
    require_scope_to_answer(work.caller, RequestKind.APPROVAL)
    seen = {request.id: request for request in body.requests}
    async with work.services.database.reading() as session:
        await _require_alike(session, work.caller, list(seen.values()))

    async def answer(work: UnitOfWork, request_id: UUID) -> InputRequestRow:
        row = await get_answerable_request(work.session, work.caller, request_id)
        given = AnswerBody(
            decision=body.decision,
            message=body.message,
            input_sha256=seen[request_id].input_sha256,
            undo_seconds=body.undo_seconds if can_be_held(row) else 0,
        )
        return await answers.answer_found(work, row, given)

    changed, skipped = await _change_all(work, list(seen), answer)
    answered = [row.id for row in changed if row.status != "open"]
    approved = [row.id for row in changed if row.status == "open"]
    held = [row.id for row in changed if row.held_rule is not None]
    return AlikeOutcome(answered, held, approved, skipped)


async def withdraw_all(work: UnitOfWork, body: WithdrawBody) -> WithdrawOutcome:
    """Withdraw the caller's answers to several requests before they take effect."""
    changed, skipped = await _change_all(work, list(dict.fromkeys(body.ids)), holding.withdraw)
    return WithdrawOutcome([row.id for row in changed], skipped)


async def _change_all(
    work: UnitOfWork, ids: Sequence[UUID], change: Change
) -> tuple[Sequence[InputRequestRow], Sequence[SkippedRequest]]:
    """Change each request, all in the transaction of `work`; a refusal leaves its request as it is.

    The executions are locked first, all in one statement (`db/locks.py`).
    """
    changed: list[InputRequestRow] = []
    skipped: list[SkippedRequest] = []
    await queries.lock_requested(work.session, ids)
    for request_id in ids:
        try:
            async with work.session.begin_nested():
                changed.append(await change(work, request_id))
        except PerdureError as error:
            skipped.append(SkippedRequest(request_id, error.code, error.detail))
    return changed, skipped


async def _require_alike(
    session: AsyncSession, caller: Caller, seen: Sequence[SeenRequest]
) -> None:
    """Compare the calls of those requests that the caller may answer."""
    first: CallLikeness | None = None
    for position, request in enumerate(seen):
        try:
            row = await get_answerable_request(session, caller, request.id)
        except PerdureError:
            continue  # it is reported with the others
        likeness = await input_requests.find_likeness(session, row)
        first = first or likeness
        if row.kind != RequestKind.APPROVAL or likeness != first:
            hint = (
                "Only approvals of the same task, tool and effect class can be answered together; "
                "answer this one separately."
            )
            problem = FieldProblem(("body", "requests", position), hint, "not_alike")
            raise InvalidInputError("The requests are not alike; see errors.", [problem])
