"""Answers of people to input requests."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from domain.errors import FieldProblem, InputChangedError, InvalidInputError
from persistence.executions import input_requests, queries
from persistence.tables.sessions import InputRequestRow
from services.definitions.json_schemas import value_problems
from services.executions.access import answerable_request
from services.executions.inputs import AnswerBody
from services.unit_of_work import UnitOfWork

QUESTIONS = frozenset({"question", "form"})
"""Kinds that ask for text or values; the other kinds ask for a decision."""

EDITABLE = frozenset({"approval"})
"""Kinds whose tool input a person may edit."""


async def answer(work: UnitOfWork, request_id: UUID, body: AnswerBody) -> InputRequestRow:
    """Answer an open input request; the execution then continues.

    Raises:
        AlreadyAnsweredError: it is answered, expired or cancelled.
        InputChangedError: the answer was given for another tool input.
    """
    row = await answerable_request(work.session, work.caller, request_id)
    execution = await queries.lock_existing(work.session, row.execution_id)
    row = await input_requests.lock_open(work.session, execution, request_id)
    checked = check_answer(row, body)
    await input_requests.answer(work.session, row, checked, by=work.caller.user_id)
    await work.record_audit(
        "input_request.answer",
        ("input_request", request_id),
        after={"decision": checked["decision"], "execution_id": str(execution.id)},
        owner_id=row.user_id,
    )
    work.wake_workflow(execution)
    return row


def check_answer(row: InputRequestRow, body: AnswerBody) -> dict[str, Any]:
    """Return the answer as it is stored.

    Raises:
        InputChangedError: the answer was given for another tool input.
    """
    if body.input_sha256 is not None and body.input_sha256 != _sha256(row):
        message = "This answer was given for another tool input; read the request again."
        raise InputChangedError(message)
    is_question = row.kind in QUESTIONS
    problems = list(_question_problems(row, body) if is_question else _decision_problems(row, body))
    if problems:
        raise InvalidInputError("The answer does not fit the request; see errors.", problems)
    given = body.model_dump(exclude={"input_sha256"}, exclude_none=True)
    return {"decision": "approve", **given}


def _question_problems(row: InputRequestRow, body: AnswerBody) -> Iterator[FieldProblem]:
    if body.input is not None or body.decision == "edit":
        yield _problem(
            "decision", "A question has no tool input to edit; send values or a message."
        )
    if body.decision == "deny":
        return
    if body.values is None and body.message is None:
        yield _problem("values", "Send values or a message.", "missing")
    elif row.schema is not None:
        yield from value_problems(row.schema, body.values, ("body", "values"))
    elif isinstance(row.options, list) and body.values is not None:
        yield from _option_problems(row.options, body.values)


def _option_problems(options: list[Any], values: Any) -> Iterator[FieldProblem]:
    """An option is chosen by `values: "it"` or `values: {"answer": "it"}`; text is a message."""
    is_wrapped = isinstance(values, dict) and set(values) == {"answer"}
    chosen = values["answer"] if is_wrapped else values
    names = [o.get("value", o.get("label")) if isinstance(o, dict) else o for o in options]
    if chosen not in names and chosen not in options:
        listed = ", ".join(json.dumps(name) for name in names)
        hint = f"Choose one of {listed}, or send a message instead."
        yield _problem("values", hint, "not_an_option")


def _decision_problems(row: InputRequestRow, body: AnswerBody) -> Iterator[FieldProblem]:
    if body.decision is None:
        yield _problem(
            "decision", "Send a decision: approve, deny, or edit with an input.", "missing"
        )
    if body.decision == "edit" and row.kind not in EDITABLE:
        yield _problem("decision", "This request has no tool input to edit; approve or deny it.")
    elif body.decision == "edit" and body.input is None:
        yield _problem("input", "Send the edited tool input, a JSON object.", "missing")
    elif body.decision == "edit" and row.tool_input_schema is not None:
        # Refuse an input that the tool can't take before it uses up the approval.
        yield from value_problems(row.tool_input_schema, body.input, ("body", "input"))
    if body.input is not None and body.decision != "edit":
        yield _problem("input", "Send an input only with the decision edit.")
    if row.schema is not None and body.decision == "approve":
        yield from value_problems(row.schema, body.values, ("body", "values"))


def _sha256(row: InputRequestRow) -> str | None:
    return row.input_sha256.hex() if row.input_sha256 else None


def _problem(field: str, msg: str, kind: str = "value_error") -> FieldProblem:
    return FieldProblem(("body", field), msg, kind)
