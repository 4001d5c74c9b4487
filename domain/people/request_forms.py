"""Flat forms for input requests, as clients of the Model Context Protocol show them to a person.

A form is made only if it shows all that the person decides about. Otherwise the client opens the
page of the request: to edit the input of a tool, for nested values, and for secrets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.people.answers import Asked
from domain.people.form_fields import (
    FormField,
    choice_schema,
    make_choices,
    make_field,
    make_fields,
)
from domain.people.requests import QUESTIONS, RequestKind
from domain.text import harmless

LONGEST_MESSAGE = 6_000
"""Characters of a message: as many as Claude Code was seen to show (2.1.332, 2026-11-28)."""

SHOWN_CHARACTERS = 200
"""The part of a message that a client surely shows: Claude Code shows three lines, and no way to
read the others (measured with 2.1.332, 2026-11-28)."""

LONGEST_TITLE = 500
"""Characters of a title beside a link (chosen: some lines)."""

LONGEST_ANSWER = 10_000
"""Characters of an answer or a note: as in the API."""

Decisions = Sequence[tuple[str, str]]

_DECISIONS: Mapping[RequestKind, Decisions] = {
    RequestKind.APPROVAL: (("approve", "Run the call"), ("deny", "Do not run it")),
    RequestKind.PLAN_APPROVAL: (("approve", "Start the plan"), ("deny", "Do not start it")),
    RequestKind.BUDGET: (
        ("approve", "Continue"),
        ("finish", "Complete with the answers so far"),
        ("deny", "Fail the execution"),
    ),
    RequestKind.EFFECT_CHECK: (
        ("happened", "It took effect; do not run it again"),
        ("not_happened", "It had no effect; run it now"),
        ("skip", "Do not run it again; the effect stays unknown"),
    ),
}
"""The decisions that a form offers. An edit needs the page of the request."""

_DECLINES: Mapping[RequestKind, str] = {
    RequestKind.QUESTION: "Decline leaves the question unanswered.",
    RequestKind.FORM: "Decline leaves the form unanswered.",
    RequestKind.APPROVAL: "Decline means deny: the call does not run.",
    RequestKind.PLAN_APPROVAL: "Decline means deny: the plan does not start.",
    RequestKind.BUDGET: "Decline means deny: the execution fails.",
    RequestKind.EFFECT_CHECK: "Decline leaves the request open.",
}
"""What happens if the person declines a form."""


_EDITS: Mapping[RequestKind, str] = {
    RequestKind.APPROVAL: "edit the input",
    RequestKind.PLAN_APPROVAL: "edit the plan",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRequest:
    """What a form shows. `tool_input` is JSON text; `page_url` is the page of the request."""

    asked: Asked
    title: str
    body: str | None = None
    tool_input: str | None = None
    execution_title: str
    page_url: str


@dataclass(frozen=True, slots=True)
class RequestForm:
    """A form and how to read it. `values` are the fields that the request's schema describes."""

    kind: RequestKind
    message: str
    fields: Sequence[FormField]
    values: Sequence[FormField] = ()
    is_object: bool = True
    """Whether the values are an object with a member for each field, or one value."""

    @property
    def schema(self) -> dict[str, Any]:
        """The schema of the form, as the client gets it."""
        return {
            "type": "object",
            "properties": {field.name: dict(field.schema) for field in self.fields},
            "required": [field.name for field in self.fields if field.is_required],
        }

    def read(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of an answer from what a client returned. It is not validated."""
        entered = {
            field.name: field.read(content[field.name])
            for field in self.fields
            if content.get(field.name) is not None
        }
        answer = {
            k: entered[k] for k in ("decision", "message") if entered.get(k) not in (None, "")
        }
        is_accepted = self.kind in QUESTIONS or answer.get("decision") == "approve"
        if self.values and is_accepted:
            answer |= self._read_values(entered)
        return answer

    def _read_values(self, entered: Mapping[str, Any]) -> dict[str, Any]:
        nulls = {field.name: None for field in self.values if field.is_nullable}
        names = {field.name for field in self.values}
        values = {**nulls, **{name: v for name, v in entered.items() if name in names}}
        if self.is_object:
            return {"values": values} if values or self.kind is RequestKind.FORM else {}
        return {"values": next(iter(values.values()))} if values else {}


def make_form(request: ShownRequest) -> RequestForm | None:
    """The form for a request; None if a flat form can't show all of it."""
    message = _make_message(request)
    asked = request.asked
    if message is None:
        return None
    if asked.kind in QUESTIONS:
        return _make_question(asked, message)
    shown = _DECISIONS[asked.kind]
    decision = FormField(
        "decision", {**choice_schema(shown), "title": "Decision"}, is_required=True
    )
    values: Sequence[FormField] = ()
    if asked.schema is not None:
        made = make_fields(asked.schema)
        if made is None or {field.name for field in made} & {"decision", "message"}:
            return None
        values = [
            FormField(f.name, f.schema, is_nullable=f.is_nullable, choices=f.choices) for f in made
        ]
    return RequestForm(asked.kind, message, [decision, *values, _note("Message")], values)


def read_decline(kind: RequestKind) -> dict[str, Any] | None:
    """The answer that a declined form means; None if declining is no decision."""
    return None if kind is RequestKind.EFFECT_CHECK else {"decision": "deny"}


def page_message(request: ShownRequest) -> str:
    """The message that asks a person to open the page of the request."""
    title = request.title
    if len(title) > LONGEST_TITLE:
        title = f"{title[:LONGEST_TITLE]}…"
    return harmless(f"{title}\n{_source(request)} Open the page to answer.")


def _make_question(asked: Asked, message: str) -> RequestForm | None:
    if asked.schema is not None:
        return None if asked.options is not None else _make_values(asked, asked.schema, message)
    if asked.options is None:
        answer = FormField("answer", _text("Answer", minLength=1), is_required=True)
        return RequestForm(asked.kind, message, [answer], [answer])
    choices = make_choices([_read_option(option) for option in asked.options])
    shown = choice_schema([(name, title) for name, (_, title) in choices.items()])
    values = {name: value for name, (value, _) in choices.items()}
    answer = FormField("answer", {**shown, "title": "Answer"}, choices=values)
    return RequestForm(asked.kind, message, [answer, _note("Another answer")], [answer])


def _make_values(asked: Asked, schema: Mapping[str, Any], message: str) -> RequestForm | None:
    """The form of a schema: its properties are the fields, or it describes one value."""
    fields = make_fields(schema)
    if fields is not None:
        return RequestForm(asked.kind, message, fields, fields)
    if schema.get("type") == "object" or "properties" in schema:
        return None
    single = make_field("answer", schema, root=schema)
    if single is None:
        return None
    return RequestForm(asked.kind, message, [single], [single], is_object=False)


def _read_option(option: Any) -> tuple[Any, str | None]:
    """The value and the title of an option of a question."""
    if not isinstance(option, Mapping):
        return option, None
    label = option.get("label")
    return option.get("value", label), None if label is None else str(label)


def _note(title: str) -> FormField:
    return FormField("message", _text(title))


def _text(title: str, **bounds: int) -> dict[str, Any]:
    return {"type": "string", "title": title, **bounds, "maxLength": LONGEST_ANSWER}


def _make_message(request: ShownRequest) -> str | None:
    """What the person reads; None if a client would hide a part of it.

    Clients show the first lines, so these contain what the person decides about.
    """
    head = harmless(request.title)
    if request.tool_input is not None:
        head = f"{head} {_show_call(request.tool_input)}"
        if len(head) > SHOWN_CHARACTERS:
            return None
    kind = request.asked.kind
    hint = f"Read all of it at {request.page_url}" if len(head) > SHOWN_CHARACTERS else None
    ways = [_source(request), _DECLINES[kind]]
    if kind in _EDITS:
        ways.append(f"To {_EDITS[kind]}, open {request.page_url}")
    lines = filter(None, [hint, head, request.body, " ".join(ways)])
    message = harmless("\n".join(lines))
    return message if len(message) <= LONGEST_MESSAGE else None


def _show_call(tool_input: str) -> str:
    """The input of a tool in one line: JSON escapes line breaks."""
    return harmless(json.dumps(json.loads(tool_input), ensure_ascii=False))


def _source(request: ShownRequest) -> str:
    return f"Asked by the execution “{request.execution_title}”."
