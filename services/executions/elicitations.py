"""Elicitations: clients show a person an input request of an execution, and return the response.

An accepted form is an ordinary answer (`services.executions.answers`). A client that is closed or
asked to wait decides nothing: the request stays open, and is shown again under a new key.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import AlreadyAnsweredError, InvalidInputError
from domain.model.json_values import make_encodable
from domain.people.answers import Asked
from domain.people.request_forms import (
    RequestForm,
    ShownRequest,
    make_form,
    page_message,
    read_decline,
)
from domain.people.requests import RequestKind
from domain.text import harmless
from persistence.executions import input_requests
from persistence.tables.sessions import InputRequestRow
from services.executions import answers
from services.executions.access import get_answerable_request
from services.executions.budget_raises import lock_budgets
from services.executions.inputs import AnswerBody
from services.unit_of_work import UnitOfWork
from services.validation_messages import find_problems

MOST_DISMISSALS = 9
"""How often a client shows a request that it returns without an answer: Claude Code repeats a call
ten times (measured with 2.1.332, 2026-11-28). The request stays open on its page."""

LONGEST_PROBLEM = 500
"""Characters (chosen: some sentences, before the message)."""

Mode = Literal["form", "url"]
Action = Literal["accept", "decline", "cancel"]
PageUrl = Callable[[UUID], str]


@dataclass(frozen=True, slots=True)
class Elicitation:
    """What a client shows: a form with `schema`, or without one the page at `url`.

    `key` identifies this showing of the request; another one has another key.
    """

    key: str
    request_id: UUID
    message: str
    url: str
    schema: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ElicitationResponse:
    """What a client returned for a key."""

    key: str
    action: Action
    content: Mapping[str, Any] | None = None


async def find_elicitation(
    session: AsyncSession, execution_id: UUID, page_url: PageUrl, modes: Collection[Mode]
) -> Elicitation | None:
    """The oldest open request, of the execution and its subtasks, that these modes can show.

    One at a time: Claude Code returns the responses to several requests together, after the last.
    """
    for row, execution_title in await input_requests.list_open(session, execution_id):
        elicitation = _make_elicitation(row, execution_title, page_url)
        mode: Mode = "url" if elicitation.schema is None else "form"
        if row.dismissals < MOST_DISMISSALS and mode in modes:
            return elicitation
    return None


async def respond(
    work: UnitOfWork, execution_id: UUID, response: ElicitationResponse, page_url: PageUrl
) -> None:
    """Apply a response from a client of the execution or of a parent.

    A response to a request that is no longer shown under its key changes nothing.

    Raises:
        PermissionDeniedError: the caller may not answer it.
    """
    request_id = read_key(response.key)
    if request_id is None:
        return
    row = await input_requests.find(work.session, request_id)
    if row is None or make_key(row) != response.key:
        return
    if not await input_requests.is_in_tree(work.session, row, execution_id):
        return
    await get_answerable_request(work.session, work.caller, request_id)
    await lock_budgets(work, row)
    try:
        execution, row = await input_requests.lock_open(work.session, row.id)
        if make_key(row) == response.key:
            await _apply(
                work, row, response, make_form(_make_shown_request(row, execution.title, page_url))
            )
    except AlreadyAnsweredError:
        return


async def _apply(
    work: UnitOfWork,
    row: InputRequestRow,
    response: ElicitationResponse,
    form: RequestForm | None,
) -> None:
    given = _read_answer(RequestKind(row.kind), response, form)
    if given is None:
        await input_requests.dismiss(work.session, row, None)
        return
    try:
        # No scope is needed, because the client has asked a person.
        answered = await answers.answer_found(work, row, _make_body(given), must_run=True)
        if answered.status == "open":  # it still needs approvals of others
            await input_requests.dismiss(work.session, row, None)
    except InvalidInputError as error:
        await input_requests.dismiss(work.session, row, _describe(error))


def _read_answer(
    kind: RequestKind, response: ElicitationResponse, form: RequestForm | None
) -> Mapping[str, Any] | None:
    """The answer that a response gives; None if it is no decision.

    A page only means that a person was asked to open it.
    """
    if form is None or response.action == "cancel":
        return None
    return read_decline(kind) if response.action == "decline" else form.read(response.content or {})


def _make_body(given: Mapping[str, Any]) -> AnswerBody:
    """Validate an answer as the API does; lone surrogates, which UTF-8 lacks, are replaced.

    Raises:
        InvalidInputError: a field has another type or is too long.
    """
    try:
        return AnswerBody.model_validate(make_encodable(given), strict=True)
    except ValidationError as error:
        problems = find_problems(error, AnswerBody, ("body",))
        raise InvalidInputError("The answer does not fit the request.", problems) from error


def _describe(error: InvalidInputError) -> str:
    """The problems as sentences for a person."""
    text = " ".join(problem.msg for problem in error.problems) or error.detail
    return harmless(text[:LONGEST_PROBLEM])


def make_key(row: InputRequestRow) -> str:
    """The key under which a client shows a request now. No two showings have the same."""
    return f"{row.id}.{row.dismissals}"


def read_key(key: str) -> UUID | None:
    """The request of a key; None for a key that Perdure did not make."""
    try:
        return UUID(key.partition(".")[0])
    except ValueError:
        return None


def _make_elicitation(row: InputRequestRow, execution_title: str, page_url: PageUrl) -> Elicitation:
    request = _make_shown_request(row, execution_title, page_url)
    form = make_form(request)
    message = page_message(request) if form is None else form.message
    return Elicitation(
        key=make_key(row),
        request_id=row.id,
        message=message if row.answer_problem is None else f"{row.answer_problem}\n{message}",
        url=request.page_url,
        schema=None if form is None else form.schema,
    )


def _make_shown_request(
    row: InputRequestRow, execution_title: str, page_url: PageUrl
) -> ShownRequest:
    asked = Asked(
        kind=RequestKind(row.kind),
        options=row.options,
        schema=row.schema,
        tool_name=row.tool_name,
    )
    return ShownRequest(
        asked=asked,
        title=row.title,
        body=row.body,
        tool_input=row.tool_input,
        execution_title=execution_title,
        page_url=page_url(row.id),
    )
