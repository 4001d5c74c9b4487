"""One decision for several requests that ask for alike calls, each of which the person has seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, InvalidInputError, PerdureError
from domain.people import RequestKind
from persistence.executions import input_requests
from persistence.executions.input_requests import CallLikeness
from services.caller import Caller
from services.executions import answers
from services.executions.access import answerable_request
from services.executions.inputs import AnswerBody
from services.field_types import Body, Text
from services.unit_of_work import Effect, Services, run_effects

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


@dataclass(frozen=True, slots=True)
class UnansweredRequest:
    """A request that could not be answered, and why."""

    id: UUID
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlikeOutcome:
    """The ids of the requests that this decision has answered, and the others.

    Those in `approved_ids` are still open: they need approvals of more people.
    """

    answered_ids: Sequence[UUID]
    approved_ids: Sequence[UUID]
    skipped: Sequence[UnansweredRequest]


async def answer_alike(services: Services, caller: Caller, body: AlikeBody) -> AlikeOutcome:
    """Give the same answer to several requests, each in a transaction of its own.

    Raises:
        InvalidInputError: they are not alike. No request is answered then.
    """
    effects: list[Effect] = []
    answered: list[UUID] = []
    approved: list[UUID] = []
    skipped: list[UnansweredRequest] = []
    seen = list({request.id: request for request in body.requests}.values())
    async with services.database.reading() as session:
        await _require_alike(session, caller, seen)
    for request in seen:
        answer = AnswerBody(
            decision=body.decision, message=body.message, input_sha256=request.input_sha256
        )
        try:
            async with services.transaction(caller, effects=effects) as work:
                row = await answers.answer(work, request.id, answer)
            (approved if row.status == "open" else answered).append(request.id)
        except PerdureError as error:
            skipped.append(UnansweredRequest(request.id, error.code, error.detail))
    await run_effects(effects)
    return AlikeOutcome(answered, approved, skipped)


async def _require_alike(
    session: AsyncSession, caller: Caller, seen: Sequence[SeenRequest]
) -> None:
    """Compare the calls of those requests that the caller may answer."""
    first: CallLikeness | None = None
    for position, request in enumerate(seen):
        try:
            row = await answerable_request(session, caller, request.id)
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
