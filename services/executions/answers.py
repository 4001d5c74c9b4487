"""Answering a person's request: what fits which kind, and what the loop is told."""

import json
from collections.abc import Iterator
from typing import Any

from api.input_requests.schemas import AnswerBody
from domain.errors import FieldProblem, InputChangedError, InvalidInputError
from persistence.tables.input_requests import InputRequestRow
from services.definitions.json_schemas import value_problems

QUESTIONS = frozenset({"question", "form"})
"""Kinds that ask for words or values; the others ask for a decision."""

EDITABLE = frozenset({"approval"})
"""Kinds whose tool input a person may change."""


def given_answer(row: InputRequestRow, body: AnswerBody) -> dict[str, Any]:
    """The answer as it is stored and told to the loop, with what was given and nothing else.

    Raises:
        InputChangedError: the answer was made for another tool input.
        InvalidInputError: it does not fit the request; names each field.
    """
    if body.input_sha256 is not None and body.input_sha256 != _sha256(row):
        raise InputChangedError("This answer is for another tool input; read the request again.")
    questions = row.kind in QUESTIONS
    problems = list(_question_problems(row, body) if questions else _decision_problems(row, body))
    if problems:
        raise InvalidInputError("The answer does not fit the request; see errors.", problems)
    given = body.model_dump(exclude={"input_sha256"}, exclude_none=True)
    return {"decision": "approve", **given}


def _question_problems(row: InputRequestRow, body: AnswerBody) -> Iterator[FieldProblem]:
    if body.input is not None or body.decision == "edit":
        yield _problem("decision", "A question has no tool input to edit; send values or message.")
    if body.decision == "deny":
        return
    if body.values is None and body.message is None:
        yield _problem("values", "Send values, or a message.", "missing")
    elif row.schema is not None:
        yield from value_problems(row.schema, body.values, ("body", "values"))
    elif isinstance(row.options, list) and body.values is not None:
        yield from _option_problems(row.options, body.values)


def _option_problems(options: list[Any], values: Any) -> Iterator[FieldProblem]:
    """An option is chosen as `values: "it"` or `values: {"answer": "it"}`; words are a message."""
    is_wrapped = isinstance(values, dict) and set(values) == {"answer"}
    chosen = values["answer"] if is_wrapped else values
    names = [o.get("value", o.get("label")) if isinstance(o, dict) else o for o in options]
    if chosen not in names and chosen not in options:
        listed = ", ".join(json.dumps(name) for name in names)
        hint = f"Choose one of {listed}, or write a message instead."
        yield _problem("values", hint, "not_an_option")


def _decision_problems(row: InputRequestRow, body: AnswerBody) -> Iterator[FieldProblem]:
    if body.decision is None:
        yield _problem("decision", "Decide: approve, deny, or edit with an input.", "missing")
    if body.decision == "edit" and row.kind not in EDITABLE:
        yield _problem("decision", "There is nothing to edit here; approve or deny.")
    elif body.decision == "edit" and body.input is None:
        yield _problem("input", "An edit needs the edited tool input, an object.", "missing")
    elif body.decision == "edit" and row.tool_input_schema is not None:
        # An edit that the tool can't take is refused here: it must not spend the approval.
        yield from value_problems(row.tool_input_schema, body.input, ("body", "input"))
    if body.input is not None and body.decision != "edit":
        yield _problem("input", "An input goes with decision edit only.")
    if row.schema is not None and body.decision == "approve":
        yield from value_problems(row.schema, body.values, ("body", "values"))


def _sha256(row: InputRequestRow) -> str | None:
    return row.input_sha256.hex() if row.input_sha256 else None


def _problem(field: str, msg: str, kind: str = "value_error") -> FieldProblem:
    return FieldProblem(("body", field), msg, kind)
