"""Answers that a person types on the page of a request."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel

from api.http.bodies import JsonBody
from api.web.tool_inputs import editable_json, editable_texts
from api.web.visits import Form, Visit
from domain.errors import FieldProblem, InvalidInputError
from domain.people.form_entries import describe_json_error, read_control
from domain.people.nested_forms import Control, make_control
from domain.people.requests import QUESTIONS, RequestKind
from persistence.tables.sessions import InputRequestRow
from services.executions import answers, discussions, holding
from services.executions.discussions import AssignBody, CommentBody
from services.executions.inputs import AnswerBody
from services.executions.remembering import STORED

OPTION_FIELD = "option"

LIFETIMES: Mapping[str, str] = {
    "1": "One day",
    "7": "One week",
    "30": "30 days",
    "90": "90 days",
    "365": "One year",
}
"""How long a decision can be remembered, in days, and what the form shows for it."""

_BODY = JsonBody(AnswerBody)
_COMMENT = JsonBody(CommentBody)
_ASSIGN = JsonBody(AssignBody)
_INVALID = "This is not stored yet. Correct the fields below, then send it again."

M = TypeVar("M", bound=BaseModel)


async def submit(visit: Visit, row: InputRequestRow, form: Form) -> None:
    """Answer a request with what a person typed.

    Raises:
        InvalidInputError: a field has an invalid value.
        AlreadyAnsweredError: it is answered, expired or cancelled.
        InputChangedError: the page showed another tool input.
        ScopeMissingError: the browser has signed in with an API key that may not approve.
    """
    body = read_answer(row, form)
    caller = visit.call.caller
    async with visit.call.services.transaction(caller, is_one_service=True) as work:
        await answers.answer(work, row.id, body)


async def submit_comment(visit: Visit, row: InputRequestRow, form: Form) -> None:
    """Add the comment that a person typed.

    Raises:
        InvalidInputError: it is empty or too long.
        ConflictError: the request has too many comments.
    """
    body = _parse(_COMMENT, {"body": json.dumps(form.text("comment").strip())})
    async with visit.call.services.transaction(visit.call.caller) as work:
        await discussions.comment(work, row.id, body)


async def submit_assignee(visit: Visit, row: InputRequestRow, form: Form) -> None:
    """Assign the request to the user whose name a person typed; without a name, to no user.

    Raises:
        InvalidInputError: the name is too long.
        AlreadyAnsweredError: the request is answered, expired or cancelled.
    """
    body = _parse(_ASSIGN, {"assignee": json.dumps(form.text("assignee").strip() or None)})
    async with visit.call.services.transaction(visit.call.caller) as work:
        await discussions.assign(work, row.id, body)


async def submit_withdrawal(visit: Visit, row: InputRequestRow, form: Form) -> None:
    """Withdraw the viewer's answer before it takes effect.

    Raises:
        AlreadyAnsweredError: it has taken effect, or is another user's.
    """
    del form
    async with visit.call.services.transaction(visit.call.caller) as work:
        await holding.withdraw(work, row.id)


async def submit_claim(visit: Visit, row: InputRequestRow, form: Form) -> None:
    """Record that the viewer works on the request.

    Raises:
        ConflictError: another person does.
    """
    del form
    async with visit.call.services.transaction(visit.call.caller) as work:
        await discussions.claim(work, row.id)


async def submit_release(visit: Visit, row: InputRequestRow, form: Form) -> None:
    """Take a claim back.

    Raises:
        ConflictError: it is another person's.
    """
    del form
    async with visit.call.services.transaction(visit.call.caller) as work:
        await discussions.release(work, row.id)


def read_answer(row: InputRequestRow, form: Form) -> AnswerBody:
    """The answer in a form. The service validates it.

    Raises:
        InvalidInputError: an entry is not a value of its kind, such as a number.
    """
    if problems := list(_edit_problems(row, form)):
        raise InvalidInputError(_INVALID, problems)
    members = dict(_read_members(row, form))
    if form.text("decision") == "edit":
        members["input"] = _read_input(row, form) or ""
    return _parse(_BODY, members)


def _parse(model: JsonBody[M], members: Mapping[str, str]) -> M:
    """Validate fields whose values are JSON text.

    An edited input is validated as it was typed: parsing would drop doubled keys.
    """
    raw = ", ".join(f"{json.dumps(name)}: {value}" for name, value in members.items())
    try:
        return model.parse(f"{{{raw}}}".encode("utf-8", "replace"))
    except InvalidInputError as error:
        raise InvalidInputError(_INVALID, error.problems) from error


def make_values_control(row: InputRequestRow) -> Control | None:
    """The control for the values of an answer; None if the request has no schema for them."""
    return None if row.schema is None else make_control("values", row.schema, label="Your answer")


def option_labels(row: InputRequestRow) -> list[str]:
    """What the form shows for the options of a question."""
    return [_label(option) for option in row.options or ()]


def _label(option: Any) -> str:
    if isinstance(option, Mapping):
        option = option.get("label", option.get("value"))
    return option if isinstance(option, str) else json.dumps(option)


def _read_members(row: InputRequestRow, form: Form) -> Iterator[tuple[str, str]]:
    """The fields of the answer and their values as JSON, without an edited input."""
    decision = form.text("decision")
    for name in ("decision", "message", "input_sha256"):
        if form.text(name).strip():
            yield name, json.dumps(form.text(name))
    yield from _read_rule(form)
    if form.text("undo_seconds").strip():
        yield "undo_seconds", form.text("undo_seconds")
    is_accepted = decision == "approve"
    control = make_values_control(row)
    if is_accepted and control is not None:
        reading = read_control(control, form.entries)
        if reading.problems:
            raise InvalidInputError(_INVALID, reading.problems)
        if not reading.is_empty:
            yield "values", json.dumps(reading.value)
    elif is_accepted and form.text(OPTION_FIELD):
        yield "values", json.dumps({"answer": _find_option(row, form.text(OPTION_FIELD))})


def _read_rule(form: Form) -> Iterator[tuple[str, str]]:
    """The fields of a decision to remember.

    Raises:
        InvalidInputError: it is not chosen to which calls the decision applies.
    """
    remember, days = form.text("remember"), form.text("remember_days")
    has_pattern = form.text("remember_calls") == "pattern"
    if remember not in STORED:
        if has_pattern or days:
            hint = "Choose the executions to which the decision applies."
            raise InvalidInputError(_INVALID, [FieldProblem(("body", "remember"), hint)])
        return
    yield "remember", json.dumps(remember)
    if has_pattern:
        yield "remember_pattern", json.dumps(form.text("remember_pattern").strip())
    if days in LIFETIMES:
        until = datetime.now(UTC) + timedelta(days=int(days))
        yield "remember_until", json.dumps(until.isoformat())


def _find_option(row: InputRequestRow, entry: str) -> Any:
    options = list(row.options or ())
    number = int(entry) if entry.isascii() and entry.isdigit() and len(entry) <= 3 else -1  # noqa: PLR2004 - digits
    if not 0 <= number < len(options):
        return None
    option = options[number]
    return option.get("value", option.get("label")) if isinstance(option, Mapping) else option


def _edit_problems(row: InputRequestRow, form: Form) -> Iterator[FieldProblem]:
    """Problems of the editable input, which the browser sends with every decision."""
    decision, typed = form.text("decision"), _read_input(row, form)
    if not decision:
        is_question = RequestKind(row.kind) in QUESTIONS
        hint = "Send answer" if is_question else "one of the buttons below"
        yield FieldProblem(("body", "decision"), f"Choose {hint}.")
    if decision not in {"approve", "edit"} or typed is None:
        return
    loc = ("body", "input")
    try:
        edited = json.loads(typed)
    except (ValueError, RecursionError) as error:
        yield FieldProblem(loc, f"This is not valid JSON. {describe_json_error(error)}")
        return
    shown = row.tool_input or "null"
    if decision == "approve" and _normalise(edited) != _normalise(json.loads(shown)):
        msg = "You changed the input. To run it with your changes, choose Approve with changes."
        yield FieldProblem(loc, msg)


def _read_input(row: InputRequestRow, form: Form) -> str | None:
    """The edited input as JSON; None if the form has none."""
    names = [name for name in find_texts(row) if f"input/{name}" in form.entries]
    if names:
        return json.dumps({name: form.text(f"input/{name}") for name in names})
    return form.text("input") if "input" in form.entries else None


def find_texts(row: InputRequestRow) -> Mapping[str, str]:
    """The fields of the input that the form shows as texts; none if it shows JSON."""
    return editable_texts(json.loads(row.tool_input or "null"))


def _normalise(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # in Python, 1, 1.0 and true are equal


def format_input(row: InputRequestRow) -> str:
    """The input of the tool call as the form shows it."""
    return editable_json(json.loads(row.tool_input or "null"))
