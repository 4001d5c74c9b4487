"""Which answers fit an input request.

A person's answer, a task's default answer and the answer of an expiry rule pass the same check.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.errors import FieldProblem
from domain.people.requests import DECISIONS, QUESTIONS, RequestKind, is_empty
from domain.rules.decisions import find_denial
from domain.rules.permissions import Permissions

ANSWER_FIELDS = frozenset({"decision", "input", "message", "values"})
"""The fields of an answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer must fit. `permissions` are the rules for an edited input of `tool_name`."""

    kind: RequestKind
    options: Sequence[Any] | None = None
    schema: Mapping[str, Any] | None = None
    tool_name: str | None = None
    tool_input_schema: Mapping[str, Any] | None = None
    permissions: Permissions = field(default_factory=Permissions)


@dataclass(frozen=True, slots=True)
class SchemaCheck:
    """A value that must match a JSON Schema; the caller applies it."""

    schema: Mapping[str, Any]
    value: Any
    loc: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class AnswerCheck:
    """Problems of an answer, and the schemas that it must match as well."""

    problems: Sequence[FieldProblem]
    schemas: Sequence[SchemaCheck] = ()


def read_default(default_answer: Any) -> Mapping[str, Any]:
    """A task's `default_answer` as an answer.

    It is an object with fields of an answer; anything else is the value that answers a question.
    """
    if isinstance(default_answer, Mapping) and default_answer.keys() & ANSWER_FIELDS:
        return default_answer
    return {"values": default_answer}


def check_answer(asked: Asked, answer: Mapping[str, Any]) -> AnswerCheck:
    """Check an answer against the request's kind, options and schemas, and the task's rules."""
    problems = [*_shape_problems(answer)]
    if not problems:
        decide = _question_problems if asked.kind in QUESTIONS else _decision_problems
        problems += decide(asked, answer)
    return AnswerCheck(problems, () if problems else tuple(_schema_checks(asked, answer)))


def check_default(asked: Asked, default_answer: Any) -> AnswerCheck:
    """Check a `default_answer`; no default means that an interrupted call did not happen."""
    answer = read_default(default_answer)
    if answer.get("decision") == "not_happened":
        hint = "Only a person can decide that a call did not happen; use skip or happened."
        return AnswerCheck([_problem("decision", hint)])
    return check_answer(asked, answer)


def _shape_problems(answer: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """Problems of an answer that no request model has validated."""
    for name in sorted(map(str, answer.keys() - ANSWER_FIELDS)):
        known = ", ".join(sorted(ANSWER_FIELDS))
        yield _problem(name, f"An answer has no such field; the fields are: {known}.")
    for name, kind, hint in (
        ("decision", str, "Write the decision as text."),
        ("message", str, "Write the message as text."),
        ("input", Mapping, "Send the edited tool input, a JSON object."),
    ):
        if answer.get(name) is not None and not isinstance(answer[name], kind):
            yield _problem(name, hint, "type_error")


def _question_problems(asked: Asked, answer: Mapping[str, Any]) -> Iterator[FieldProblem]:
    decision, values = answer.get("decision"), answer.get("values")
    if answer.get("input") is not None or decision == "edit":
        hint = "A question has no tool input to edit; send values or a message."
        yield _problem("decision", hint)
    elif decision not in (None, *DECISIONS[asked.kind]):
        yield _unknown_decision(asked.kind, decision)
    if decision == "deny":
        return
    if asked.schema is None and is_empty(values) and not answer.get("message"):
        yield _problem("values", "The answer is empty; send values or a message.", "missing")
    elif asked.options is not None and not is_empty(values):
        yield from _option_problems(asked.options, values)


def _option_problems(options: Sequence[Any], values: Any) -> Iterator[FieldProblem]:
    """An option is chosen by `values: "it"` or `values: {"answer": "it"}`; text is a message."""
    is_wrapped = isinstance(values, Mapping) and set(values) == {"answer"}
    chosen = values["answer"] if is_wrapped else values
    names = [o.get("value", o.get("label")) if isinstance(o, Mapping) else o for o in options]
    # As JSON, because `false`, `0` and `0.0` are equal in Python.
    if json.dumps(chosen) not in {json.dumps(option) for option in [*names, *options]}:
        listed = ", ".join(json.dumps(name) for name in names)
        hint = f"Choose one of {listed}, or send a message instead."
        yield _problem("values", hint, "not_an_option")


def _decision_problems(asked: Asked, answer: Mapping[str, Any]) -> Iterator[FieldProblem]:
    decision, edited = answer.get("decision"), answer.get("input")
    if decision is None:
        yield _problem("decision", f"Send a decision: {_list_decisions(asked.kind)}.", "missing")
    elif decision not in DECISIONS[asked.kind]:
        yield _unknown_decision(asked.kind, decision)
    elif decision == "edit" and edited is None:
        yield _problem("input", "Send the edited tool input, a JSON object.", "missing")
    elif decision == "edit" and asked.tool_name is not None:
        yield from _edit_problems(asked, asked.tool_name, edited)
    if edited is not None and decision != "edit":
        yield _problem("input", "Send an input only with the decision edit.")


def _edit_problems(asked: Asked, tool: str, edited: Any) -> Iterator[FieldProblem]:
    verdict = find_denial(asked.permissions, tool, edited)
    if verdict is not None:
        yield _problem("input", f"{verdict.reason} Send another input, or deny.", "forbidden")


def _schema_checks(asked: Asked, answer: Mapping[str, Any]) -> Iterator[SchemaCheck]:
    decision = answer.get("decision")
    if decision == "edit" and asked.tool_input_schema is not None:
        yield SchemaCheck(asked.tool_input_schema, answer["input"], ("body", "input"))
    is_accepted = decision == "approve" or (decision is None and asked.kind in QUESTIONS)
    if is_accepted and asked.schema is not None:
        yield SchemaCheck(asked.schema, answer.get("values"), ("body", "values"))


def _unknown_decision(kind: RequestKind, decision: object) -> FieldProblem:
    hint = f"A request of kind {kind} takes {_list_decisions(kind)}, but not {decision!r}."
    return _problem("decision", hint, "unknown_decision")


def _list_decisions(kind: RequestKind) -> str:
    *others, last = DECISIONS[kind]
    return f"{', '.join(others)} or {last}"


def _problem(name: str, msg: str, kind: str = "value_error") -> FieldProblem:
    return FieldProblem(("body", name), msg, kind)
